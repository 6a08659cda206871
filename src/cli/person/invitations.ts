/** `sallyport person invitations` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { invitationSchema } from '../invitation-wire.ts';
import { defineListCommand, printNamedList, type ListOptions } from '../lists.ts';
import { moment } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';

interface InvitationsOptions extends ListOptions {
  lab?: string;
  open?: boolean;
}

export function addPersonInvitations(group: Command, around: Surroundings): void {
  defineListCommand(group, 'invitations', {
    summary: 'List invitations, never their links',
    examples: ['sallyport person invitations', 'sallyport person invitations --open'],
  })
    .option('--lab <id>', 'only to this lab', id('lab'))
    .option('--open', 'only those that can still be used')
    .action(async (options: InvitationsOptions) => {
      const broker = await connect(around, options);
      const invitations = await broker.list('/invitations', invitationSchema, options.limit, {
        lab: options.lab,
        open: options.open,
      });
      await printNamedList(
        around,
        broker,
        options,
        invitations,
        ['id', 'name', 'lab', 'roles', 'grant', 'state', 'until', 'joined as'],
        (invitation, named) => [
          invitation.id,
          invitation.name,
          named(invitation.lab),
          invitation.roles.join(', '),
          named(invitation.grant),
          invitation.state,
          moment(invitation.expiresAt),
          named(invitation.joinedAs),
        ],
      );
    });
}
