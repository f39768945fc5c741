/**
 * One policy of `ip xfrm policy`, from the words of its entry.
 *
 * ```text
 * src 10.244.2.0/24 dst 10.244.1.0/24 proto tcp dport 80
 *         dir out priority 0 ptype main
 *         mark 0x3e00/0xff00
 *         tmpl src 10.244.2.1 dst 10.244.1.1
 *                 proto esp spi 0x00000003 reqid 1 mode tunnel
 *                 level use
 * ```
 * @module
 */
import { LifeReader, readFlags, readOffload, readSelector } from './read-parts.ts';
import { type NotRead, readMark, type Words, type Writable } from './words.ts';
import type { XfrmPolicy, XfrmTemplate } from './xfrm-tree.ts';

/** Fields that a policy has once, and those of each of its templates. */
const ONCE: ReadonlySet<string> = new Set(
  'dir socket action index priority ptype flag mark if_id crypto security'.split(' '),
);
const ONCE_A_TEMPLATE: ReadonlySet<string> = new Set('proto spi reqid mode level share enc-mask'.split(' '));

/**
 * Reads it to its end.
 * @param unread is told what is not known
 */
export function readPolicy(words: Words, origin: string, unread: NotRead): XfrmPolicy {
  const life = new LifeReader();
  const flags: string[] = [];
  const templates: Writable<XfrmTemplate>[] = [];
  const policy: Writable<XfrmPolicy> = {
    selector: readSelector(words),
    direction: null,
    socket: false,
    action: 'allow',
    index: null,
    priority: 0,
    ptype: null,
    share: null,
    flags,
    mark: null,
    ifId: null,
    offload: null,
    lifetime: null,
    use: null,
    templates,
    secctx: null,
    damaged: [],
    origin,
  };
  for (let word = words.take(); word !== undefined; word = words.take()) {
    const line = words.takenFrom;
    const template = templates.at(-1);
    if (ONCE.has(word)) words.once(word);
    else if (ONCE_A_TEMPLATE.has(word)) words.once(`${word} of template ${templates.length}`);
    switch (word) {
      case 'dir':
      case 'socket':
        policy.direction = words.take() ?? null;
        policy.socket = word === 'socket';
        break;
      case 'action':
        policy.action = words.take() ?? 'allow';
        break;
      case 'index':
        policy.index = words.u32(word);
        break;
      case 'priority':
        policy.priority = words.u32(word) ?? 0;
        break;
      case 'ptype':
        policy.ptype = words.take() ?? null;
        break;
      case 'share':
        if (template) template.share = words.take() ?? null;
        else policy.share = words.take() ?? null;
        break;
      case 'flag':
        readFlags(words, flags, flags);
        break;
      case 'mark':
        policy.mark = words.value(word, readMark);
        break;
      case 'if_id':
        policy.ifId = words.u32(word);
        break;
      case 'crypto':
        policy.offload = readOffload(words);
        break;
      case 'security':
        words.accept('context');
        policy.secctx = words.take() ?? null;
        break;
      case 'tmpl':
        templates.push({
          src: words.accept('src') ? (words.take() ?? '') : '',
          dst: words.accept('dst') ? (words.take() ?? '') : '',
          proto: null,
          spi: null,
          reqid: null,
          mode: null,
          level: 'required',
          share: null,
          masks: null,
        });
        break;
      case 'proto':
        if (template) template.proto = words.take() ?? null;
        else unread(line, word, words);
        break;
      case 'spi':
        // `-s` prints 0 where any will do.
        if (template) template.spi = words.u32(word) || null;
        else unread(line, word, words);
        break;
      case 'reqid':
        if (template) template.reqid = words.u32(word);
        else unread(line, word, words);
        break;
      case 'mode':
        if (template) template.mode = words.take() ?? null;
        else unread(line, word, words);
        break;
      case 'level':
        if (template) template.level = words.take() ?? 'required';
        else unread(line, word, words);
        break;
      case 'enc-mask': {
        // Of its own line only: what follows a value that is cut off is another field.
        const mask = () => words.takeIf(/^[0-9a-f]{1,8}$/) ?? '';
        const enc = mask();
        const auth = words.accept('auth-mask') ? mask() : '';
        const comp = words.accept('comp-mask') ? mask() : '';
        if (template) template.masks = { enc, auth, comp };
        else unread(line, word, words);
        break;
      }
      default:
        if (!life.read(word, words)) unread(line, word, words);
    }
  }
  return { ...policy, lifetime: life.lifetime, use: life.use, damaged: words.damaged.splice(0) };
}
