/** What the grants of the bench say of transcripts. */
import { newIdentity } from '../../../src/audit/sealing/age-identity.ts';

const recipients = (count: number): { recipient: string; holder: string }[] =>
  Array.from({ length: count }, (_, i) => ({
    recipient: newIdentity().recipient,
    holder: `Holder ${i + 1}`,
  }));

/** What each grant says of transcripts. */
export const MODES: Record<string, object> = {
  digest: {},
  sealed: {
    transcripts: 'sealed',
    transcriptRecipients: recipients(1),
    transcriptRetentionDays: 30,
  },
  'sealed to 8': {
    transcripts: 'sealed',
    transcriptRecipients: recipients(8),
    transcriptRetentionDays: 30,
  },
  full: { transcripts: 'full', transcriptRetentionDays: 30 },
};
