/**
 * The rotation's chapter as an address: `#/rotation?n1=4,10,10,10,52&n2=…&n3=…&news=1`.
 * @module
 */
import {
  formatNode,
  MOST_NEWS,
  type NodePlan,
  onGrid,
  parseNode,
  ROTATION_PRESETS,
  type RotationPlan,
  type RotationPreset,
} from './rotation-plan.ts';

export interface RotationPlace {
  readonly plan: RotationPlan;
  /** What of the address could not be used, for people. */
  readonly problem?: string;
}

type Params = Readonly<Record<string, string | undefined>>;

/** Where the chapter begins. */
const FIRST = ROTATION_PRESETS.find(({ id }) => id === 'old-order')!;

/** Reads an address. What is not there, or cannot be used, is as in the first scene. */
export function rotationPlaceOf(params: Params): RotationPlace {
  const problems: string[] = [];
  const nodes = FIRST.plan.nodes.map((usual, i): NodePlan => {
    const text = params[`n${i + 1}`];
    if (text === undefined) return usual;
    const node = parseNode(text);
    if (!node)
      problems.push(`n${i + 1} is “${text.slice(0, 30)}”: five times in seconds, with commas, are due`);
    return node ?? usual;
  }) as unknown as RotationPlan['nodes'];
  const text = params['news'];
  const isNews = text === undefined || /^\d{1,2}(\.\d{1,3})?$/.test(text);
  if (!isNews) problems.push(`news is “${text.slice(0, 20)}”: seconds are due`);
  const news = isNews && text !== undefined ? onGrid(Number(text), MOST_NEWS) : FIRST.plan.news;
  return { plan: { nodes, news }, ...(problems.length > 0 && { problem: problems.join('; ') }) };
}

/** Parameters of a plan: all of it, whatever the first scene is one day. */
export function rotationParamsOf({ nodes, news }: RotationPlan): Params {
  return {
    ...Object.fromEntries(nodes.map((node, i) => [`n${i + 1}`, formatNode(node)])),
    news: String(news),
  };
}

/** The scene that a plan is. */
export function rotationPresetOf(plan: RotationPlan): RotationPreset | undefined {
  const text = JSON.stringify(rotationParamsOf(plan));
  return ROTATION_PRESETS.find((preset) => JSON.stringify(rotationParamsOf(preset.plan)) === text);
}
