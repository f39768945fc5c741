/**
 * The chapters, in the order in which they are read. A new one is a folder here and a line below.
 * @module
 */
import type { Chapter } from '../chapter.ts';
import { BYTES } from './bytes/index.tsx';
import { KEYS } from './keys/index.tsx';
import { NONCE } from './nonce/index.tsx';
import { OWN } from './own/index.tsx';
import { PACKET } from './packet/index.tsx';
import { ROOM } from './room/index.tsx';
import { ROTATION } from './rotation/index.tsx';
import { WINDOW } from './window/index.tsx';

export const CHAPTERS: readonly Chapter[] = [PACKET, BYTES, WINDOW, KEYS, ROTATION, NONCE, ROOM, OWN];
