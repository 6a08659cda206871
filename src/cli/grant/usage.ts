/** `sallyport grant usage` */
import type { Command } from 'commander';
import { id } from '../arguments.ts';
import { connect } from '../connection.ts';
import { defineBrokerCommand, type BrokerOptions } from '../define.ts';
import { namesFor } from '../names.ts';
import { printJson, printTable, type Cell } from '../output.ts';
import type { Surroundings } from '../surroundings.ts';
import { usageSchema, type Charged, type ScopeLeft } from '../wire.ts';

export function addGrantUsage(group: Command, around: Surroundings): void {
  defineBrokerCommand(group, 'usage', {
    summary: 'Show what a grant has used, and what is left of its budgets',
    details:
      'Used is what ended requests did cost; reserved is what running ones may cost at most. Both together never exceed a budget.',
    examples: ['sallyport grant usage grt_01…', 'sallyport grant usage grt_01… --json'],
  })
    .argument('<id>', 'the grant', id('grt'))
    .action(async (grantId: string, options: BrokerOptions) => {
      const broker = await connect(around, options);
      const usage = await broker.get(`/grants/${grantId}/usage`, usageSchema);
      if (options.json) {
        printJson(around, usage);
        return;
      }
      const named = await namesFor(broker, usage.people);
      printTable(
        around,
        ['who', 'what', 'used', 'reserved', 'budget', 'left'],
        [
          ...rows('the grant', usage.total, usage),
          ...usage.people.flatMap((person) => rows(named(person.personId), person.charged, person)),
        ],
      );
    });
}

const count = (value: number): string => value.toLocaleString('en-US');
const dollars = (value: number): string => `$${value.toFixed(value > 0 && value < 1 ? 6 : 2)}`;

function rows(who: string, charged: Charged, { lastDay, left }: ScopeLeft): Cell[][] {
  const row = (what: string, used: Cell, reserved: Cell, budget: Cell, rest: Cell): Cell[] => [
    who,
    what,
    used,
    reserved,
    budget,
    rest,
  ];
  const counts = (what: string, used: number, reserved: number | undefined, budget: Budget) =>
    row(
      what,
      count(used),
      reserved === undefined ? '' : count(reserved),
      budget ? count(budget.cap) : 'no cap',
      budget ? count(budget.left) : '',
    );
  const { spendUsd } = left;
  return [
    counts('requests', charged.requestsSettled, charged.requestsReserved, left.requests),
    counts('tokens', charged.tokensSettled, charged.tokensReserved, left.tokens),
    row(
      'spend',
      dollars(charged.spendSettledNanoUsd / 1e9),
      dollars(charged.spendReservedNanoUsd / 1e9),
      spendUsd ? dollars(spendUsd.cap) : 'no cap',
      spendUsd ? dollars(spendUsd.left) : '',
    ),
    // What is reserved counts into the day as if it were used.
    ...(left.requestsPerDay
      ? [counts('requests, 24 h', lastDay.requests, undefined, left.requestsPerDay)]
      : []),
    ...(left.tokensPerDay
      ? [counts('tokens, 24 h', lastDay.tokens, undefined, left.tokensPerDay)]
      : []),
  ];
}

type Budget = ScopeLeft['left']['requests'];
