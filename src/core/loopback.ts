/** Hosts that only this machine can reach. */

/** Whether a host, as a URL or a configuration names it, is the loopback interface. */
export function isLoopback(host: string): boolean {
  return (
    host === 'localhost' || host === '::1' || host === '[::1]' || /^127(\.\d{1,3}){3}$/.test(host)
  );
}
