#!/usr/bin/env node
/** The `sallyport` command. */
import { buildProgram, run } from './cli/program.ts';
import { addDemo } from './demo/command.ts';
import { addInit } from './init.ts';
import { VERSION } from './lib/version.ts';
import { addServe } from './serve.ts';

const program = buildProgram().version(VERSION, '--version', 'print the version');
addInit(program);
addServe(program);
addDemo(program);
process.exitCode = await run(program, process.argv, process.env);
