/** The questions that a grant is written by, each with what the answer means. */
import { z } from 'zod';
import { grantSpecSchema, type GrantSpec } from '../../core/grants.ts';
import { PURPOSES, SWITCHES } from '../../core/vocabulary.ts';
import type { BrokerClient } from '../broker-client.ts';
import { failed } from '../problems.ts';
import type { Option, Surroundings } from '../surroundings.ts';
import { endpointSchema, labSchema, meSchema, personSchema, type Endpoint } from '../wire.ts';
import { TEMPLATES, fillTemplate } from './templates.ts';

type Ask = Surroundings['ask'];

/**
 * Asks for everything that a grant cannot do without; the rest is the template's.
 *
 * @throws CliError when whoever is asked stops answering
 */
export async function askForGrant(
  { ask, clock }: Surroundings,
  broker: BrokerClient,
): Promise<GrantSpec> {
  const name = await given(
    ask.one(
      'What is it for? The template sets what is not asked here.',
      TEMPLATES.map(({ name: value, summary: hint }) => ({ value, hint })),
    ),
  );
  const template = TEMPLATES.find((one) => one.name === name) ?? TEMPLATES[0];
  const lab = await askForLab(ask, broker);
  const endpoint = await askForEndpoint(ask, broker);
  const model = await given(
    ask.several(
      'Which models? Pinned versions; what is not chosen is refused.',
      endpoint.models.map((value) => ({ value })),
      [],
    ),
  );
  const { researcher, maxPeople } = await askForPeople(ask, broker, lab);
  const days = await askForNumber(
    ask,
    'For how many days, from now on? An extension is approved anew.',
    template.days,
  );
  const title = await given(
    ask.text('A title, by which both labs know it', `For ${endpoint.id}`, (text) =>
      text.trim() === '' ? 'It must not be empty.' : undefined,
    ),
  );
  const facts = { title, lab, endpoint: endpoint.id, model, researcher, maxPeople, days };
  const document = fillTemplate(template, { ...facts, offered: endpoint }, clock());
  const spec = grantSpecSchema.parse(document.toJS());
  if (template.name === 'metadata') return spec;
  return grantSpecSchema.parse(await withChoices(ask, spec, endpoint));
}

/** What somebody answered. @throws CliError when they did not */
async function given<T>(answer: Promise<T | undefined>): Promise<T> {
  const value = await answer;
  if (value === undefined) throw failed('Nothing was made.');
  return value;
}

async function askForLab(ask: Ask, broker: BrokerClient): Promise<string> {
  const { lab } = await broker.get('/me', meSchema);
  if (lab.kind === 'partner') return lab.id;
  const { items } = await broker.list('/labs', labSchema, 500);
  const partners = items.filter(({ kind }) => kind === 'partner');
  if (partners.length === 0)
    throw failed('There is no partner lab yet. Register one first ("sallyport lab add").');
  return given(
    ask.one(
      'For which partner lab? Only its people can use the grant.',
      partners.map(({ id: value, name: label }) => ({ value, label })),
    ),
  );
}

const endpointsSchema = z.looseObject({ items: z.array(endpointSchema) });

async function askForEndpoint(ask: Ask, broker: BrokerClient): Promise<Endpoint> {
  const { items } = await broker.get('/endpoints', endpointsSchema);
  if (items.length === 0) throw failed('The host has configured no endpoint.');
  const id = await given(
    ask.one(
      'Which endpoint? With it come the safeguards that are lifted there.',
      items.map(({ id: value, safeguardsLifted }) => ({
        value,
        hint: `lifted: ${safeguardsLifted.map(({ safeguard }) => safeguard).join(', ') || 'none'}`,
      })),
    ),
  );
  return items.find((one) => one.id === id) as Endpoint;
}

async function askForPeople(
  ask: Ask,
  broker: BrokerClient,
  lab: string,
): Promise<{ researcher: string[]; maxPeople: number | undefined }> {
  const { items } = await broker.list('/people', personSchema, 500, { lab });
  const present = items.filter((person) => person.lab === lab && !person.removedAt);
  const researcher =
    present.length === 0
      ? []
      : await given(
          ask.several(
            'Who may use it? Those named here, once each has accepted the terms.',
            present.map(({ id: value, name: label }) => ({ value, label })),
            [],
            // The lead can invite everybody.
            true,
          ),
        );
  const most = await askForNumber(
    ask,
    'How many people at most? Up to it, the lead invites more without a new approval.',
    Math.max(1, researcher.length),
    Math.max(1, researcher.length),
  );
  const named = researcher.length > 0 && most === researcher.length;
  return { researcher, maxPeople: named ? undefined : most };
}

async function askForNumber(ask: Ask, question: string, usual: number, least = 1): Promise<number> {
  const isWrong = (text: string): string | undefined =>
    /^\d{1,12}$/.test(text.trim()) && Number(text) >= least
      ? undefined
      : `It takes a whole number from ${least} on.`;
  return Number(await given(ask.text(question, String(usual), isWrong)));
}

/** What most grants differ in beyond the template. */
async function withChoices(ask: Ask, spec: GrantSpec, endpoint: Endpoint): Promise<object> {
  const allowed = await given(
    ask.several('For which purposes? A token is for one of them.', explained(PURPOSES), [
      ...spec.purposes.allowed,
    ]),
  );
  const offered = Object.fromEntries(
    Object.entries(SWITCHES).filter(([name]) => endpoint.features[name] === true),
  );
  const on = await given(
    ask.several(
      'Which features? Each widens what can be tried, and done. Others are not offered here.',
      explained(offered),
      Object.keys(offered).filter((name) => spec.features[name as keyof typeof SWITCHES]),
      true,
    ),
  );
  const requests = await askForNumber(
    ask,
    'How many requests in all? It is what a stolen token can use up.',
    spec.budgets.requests ?? 10_000,
  );
  const tokens = await askForNumber(
    ask,
    'How many tokens in all, prompts and answers together?',
    spec.budgets.tokens ?? 5_000_000,
  );
  const review = await askForReview(ask, spec.review);
  const binding = await given(
    ask.one('How are tokens held?', [
      { value: 'none', hint: 'any SDK works; whoever copies a token can use it' },
      { value: 'dpop', hint: 'bound to a key of the client, through "sallyport connect"' },
    ]),
  );
  const switches = Object.fromEntries(
    Object.keys(SWITCHES).map((name) => [name, on.includes(name)]),
  );
  const excluded = spec.purposes.excluded.filter((purpose) => !allowed.includes(purpose));
  return {
    ...spec,
    purposes: { allowed, excluded },
    features: { ...spec.features, ...switches },
    budgets: { ...spec.budgets, requests, tokens },
    review,
    binding,
  };
}

/** What is over before it could be reviewed is not. */
async function askForReview(ask: Ask, usual: GrantSpec['review']): Promise<GrantSpec['review']> {
  if (usual === null) return null;
  const days = await askForNumber(
    ask,
    'How often does the host lab review it, in days? A review that is missed suspends it.',
    Number.parseInt(usual.every, 10),
  );
  return { every: `${days}d` };
}

const explained = (words: Readonly<Record<string, string>>): Option[] =>
  Object.entries(words).map(([value, hint]) => ({ value, hint }));
