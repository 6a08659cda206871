/** What processes use, as Linux counts it. */
import { readFileSync, readdirSync } from 'node:fs';

/** Linux counts in hundredths of a second for programs, whatever its own tick. */
const TICKS_A_SECOND = 100;

/** Seconds of processor time of a process, all its threads, and its children. */
export function processorSeconds(pid: number): number {
  const fields = [pid, ...childrenOf(pid)].map(statOf);
  return (
    fields.reduce((sum, stat) => sum + Number(stat[11]) + Number(stat[12]), 0) / TICKS_A_SECOND
  );
}

/** Resident memory of a process, bytes. */
export function residentBytes(pid: number): number {
  const kib = /^VmRSS:\s*(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
  if (kib === undefined) throw new Error(`Process ${pid} has no memory.`);
  return Number(kib) * 1024;
}

function childrenOf(parent: number): number[] {
  return readdirSync('/proc')
    .filter((name) => /^\d+$/.test(name))
    .map(Number)
    .filter((pid) => Number(statOf(pid)[1]) === parent);
}

/** Fields of /proc/PID/stat from the state on; none where the process has ended. */
function statOf(pid: number): string[] {
  let stat: string;
  try {
    stat = readFileSync(`/proc/${pid}/stat`, 'utf8');
  } catch {
    return [];
  }
  // The name before them may hold anything, but ends at the last parenthesis.
  return stat.slice(stat.lastIndexOf(')') + 2).split(' ');
}
