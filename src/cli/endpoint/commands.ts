/** `sallyport endpoint …` */
import type { Command } from 'commander';
import { defineGroup } from '../define.ts';
import type { Surroundings } from '../surroundings.ts';
import { addEndpointList } from './list.ts';
import { addEndpointShow } from './show.ts';

export function addEndpointCommands(program: Command, around: Surroundings): void {
  const group = defineGroup(program, 'endpoint', 'Model endpoints that the host protects');
  addEndpointList(group, around);
  addEndpointShow(group, around);
}
