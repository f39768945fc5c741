/**
 * How packets are shown: the options that commands with lines of packets share.
 * @module
 */
import { type Command, Option } from 'commander';
import { TIME_FORMS, type TimeForm } from '../inspect/packet-time.ts';

export interface TimeOptions {
  readonly time: TimeForm;
}

/** Adds `--time` to a command. */
export function addTimeOption(command: Command): Command {
  return command.addOption(
    new Option(
      '--time <form>',
      'times in UTC (iso), in seconds since 1970 (epoch), since the first frame (relative), or since the line before (delta); JSON has epoch',
    )
      .choices(TIME_FORMS)
      .default('iso'),
  );
}
