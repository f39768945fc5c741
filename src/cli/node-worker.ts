/**
 * The worker of {@link nodeThread}.
 * @module
 */
import { nodeThread } from './node-thread.ts';

await nodeThread();
