/** The process of the clients. */
import { answerParent } from './child.ts';
import { holdStreams, type AwaitEnd, type Ended, type Hold } from './hold-streams.ts';
import { runStreams, type Streams } from './run-streams.ts';
import { sendRequests, type Requests } from './send-requests.ts';

let held: Promise<Ended> | undefined;

answerParent(async (work: Requests | Streams | Hold | AwaitEnd): Promise<unknown> => {
  switch (work.kind) {
    case 'requests':
      return sendRequests(work);
    case 'streams':
      return runStreams(work);
    case 'hold':
      held = (await holdStreams(work)).ended;
      return undefined;
    case 'await end':
      return held;
  }
});
