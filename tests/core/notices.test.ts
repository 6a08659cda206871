import { describe, expect, it } from 'vitest';
import { pauseBeforeRetry } from '../../src/core/deliveries.ts';
import { goesOutThrough, noticeChannelsSchema } from '../../src/core/notice-channels.ts';
import { isAddressedTo, maySee } from '../../src/core/notices.ts';
import { HOST, OTHER_PARTNER, PARTNER, aLab, aMember } from '../support/facts.ts';

const toLab = (labId: string) => ({ labId, personId: null });

describe('who sees a notice', () => {
  const lead = aMember(PARTNER, 'lead', 'lead');
  const admin = aMember(HOST, 'admin', 'admin');

  it("those who answer for a lab see what is addressed to it, and not what is another's", () => {
    expect(maySee('lab', lead, toLab(PARTNER.id))).toBe(true);
    expect(maySee('lab', lead, toLab(OTHER_PARTNER.id))).toBe(false);
    expect(maySee('lab', lead, toLab(HOST.id))).toBe(false);
    expect(maySee('all', admin, toLab(PARTNER.id))).toBe(true);
  });

  it('what is addressed to one person of a lab is not shown to its others', () => {
    const toOther = { labId: PARTNER.id, personId: 'per_other' };
    expect(maySee('lab', lead, toOther)).toBe(false);
    expect(maySee('self', lead, toOther)).toBe(false);
    expect(maySee('self', lead, { labId: PARTNER.id, personId: lead.person.id })).toBe(true);
    expect(maySee('self', lead, toLab(PARTNER.id))).toBe(false);
  });

  it('each lab acknowledges its own, and auditor labs those of the host', () => {
    const auditor = aMember(aLab('auditor'), 'auditor', 'auditor');
    expect(isAddressedTo(admin, toLab(HOST.id), HOST.id)).toBe(true);
    expect(isAddressedTo(auditor, toLab(HOST.id), HOST.id)).toBe(true);
    expect(isAddressedTo(auditor, toLab(PARTNER.id), HOST.id)).toBe(false);
    expect(isAddressedTo(admin, toLab(PARTNER.id), HOST.id)).toBe(false);
    expect(isAddressedTo(admin, { labId: HOST.id, personId: 'per_other' }, HOST.id)).toBe(false);
  });
});

describe('which notices go out through a channel', () => {
  const notice = { kind: 'order.issued', ...toLab(HOST.id) } as const;

  it("those of the host, unless it is another lab's", () => {
    expect(goesOutThrough({ id: 'a' }, notice, HOST.id)).toBe(true);
    expect(goesOutThrough({ id: 'a' }, { ...notice, ...toLab(PARTNER.id) }, HOST.id)).toBe(false);
    const ofPartner = { id: 'a', lab: PARTNER.id };
    expect(goesOutThrough(ofPartner, notice, HOST.id)).toBe(false);
    expect(goesOutThrough(ofPartner, { ...notice, ...toLab(PARTNER.id) }, HOST.id)).toBe(true);
  });

  it('what is addressed to one person goes to their own channel alone', () => {
    const personal = { ...notice, personId: 'per_1' };
    expect(goesOutThrough({ id: 'a' }, personal, HOST.id)).toBe(false);
    expect(goesOutThrough({ id: 'a', person: 'per_1' }, personal, HOST.id)).toBe(true);
    expect(goesOutThrough({ id: 'a', person: 'per_1' }, notice, HOST.id)).toBe(false);
  });

  it('of the kinds that it names', () => {
    expect(goesOutThrough({ id: 'a', kinds: ['grant.ended'] }, notice, HOST.id)).toBe(false);
    expect(goesOutThrough({ id: 'a', kinds: ['order.issued'] }, notice, HOST.id)).toBe(true);
  });
});

describe('when a delivery is tried again', () => {
  it('soon at first, then less and less often, for about three days', () => {
    const pauses: number[] = [];
    for (let attempts = 1; ; attempts += 1) {
      const pause = pauseBeforeRetry(attempts, {}, 0.5);
      if (pause === undefined) break;
      pauses.push(pause);
    }
    expect(pauses[0]).toBeLessThanOrEqual(5_000);
    expect(pauses).toEqual(pauses.toSorted((a, b) => a - b));
    expect(Math.max(...pauses)).toBeLessThanOrEqual(12 * 3_600_000);
    const days = pauses.reduce((sum, pause) => sum + pause, 0) / 86_400_000;
    expect(days).toBeGreaterThan(2.5);
    expect(days).toBeLessThan(3.5);
  });

  it('not all at one moment', () => {
    expect(pauseBeforeRetry(5, {}, 0)).toBeGreaterThan(pauseBeforeRetry(5, {}, 0.9) ?? 0);
  });

  it('not before the receiver wants it, within bounds, and never where that is useless', () => {
    expect(pauseBeforeRetry(1, { retryAfterMs: 60_000 }, 0)).toBe(60_000);
    expect(pauseBeforeRetry(1, { retryAfterMs: 1e12 }, 0)).toBe(12 * 3_600_000);
    expect(pauseBeforeRetry(1, { isFinal: true }, 0)).toBeUndefined();
  });
});

describe('the configuration', () => {
  const webhook = { id: 'pager', url: 'https://pager.example/hook', secret: 'env:PAGER' };
  const email = {
    smtp: { host: 'mail.example' },
    from: 'sallyport@lab.example',
    to: [{ id: 'safety', address: 'safety@lab.example' }],
  };
  const complaint = (value: unknown): string =>
    noticeChannelsSchema
      .safeParse(value)
      .error?.issues.map(({ message }) => message)
      .join() ?? '';

  it('takes webhooks and e-mail, and nothing by default', () => {
    expect(complaint({ webhooks: [webhook], email })).toBe('');
    expect(noticeChannelsSchema.parse({})).toEqual({ webhooks: [], allowInsecureLoopback: false });
  });

  it('takes http to this machine where that is allowed, and nowhere else', () => {
    const plain = (url: string) => ({ webhooks: [{ ...webhook, url }] });
    expect(complaint(plain('http://127.0.0.1:1/x'))).toContain('must be https');
    expect(complaint({ ...plain('http://127.0.0.1:1/x'), allowInsecureLoopback: true })).toBe('');
    expect(complaint({ ...plain('http://pager.example'), allowInsecureLoopback: true })).toContain(
      'must be https',
    );
    expect(complaint(plain('https://user:word@pager.example'))).toContain('password');
    expect(complaint(plain('file:///etc/passwd'))).toContain('https');
  });

  it('refuses secrets in the file, kinds that do not exist, ids that are used twice, half a login', () => {
    expect(complaint({ webhooks: [{ ...webhook, secret: 'whsec_AAAA' }] })).toContain('env:NAME');
    expect(complaint({ webhooks: [{ ...webhook, kinds: ['order.isued'] }] })).toContain('one of');
    expect(complaint({ webhooks: [{ ...webhook, id: 'safety' }], email })).toContain('twice');
    const smtp = { host: 'mail.example', user: 'broker' };
    expect(complaint({ email: { ...email, smtp } })).toContain('together');
  });

  it.each([
    'safety@lab.example\r\nBcc: all@lab.example',
    'a@lab.example, b@lab.example',
    'Safety <safety@lab.example>',
  ])('refuses %j as an address', (address) => {
    expect(complaint({ email: { ...email, to: [{ id: 'safety', address }] } })).toContain(
      'must be an e-mail address',
    );
  });
});
