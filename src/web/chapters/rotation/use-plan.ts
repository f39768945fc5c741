/**
 * The plan that the address names, and what is being dragged on top of it: browsers do not take many changes of an address
 * a second, and tell of each later than a held key presses again.
 * @module
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import type { ChapterProps } from '../../chapter.ts';
import { rotationParamsOf, rotationPlaceOf } from '../../model/rotation-place.ts';
import type { RotationPlan } from '../../model/rotation-plan.ts';
import { parseRoute } from '../../route.ts';

interface PlanInHand {
  readonly plan: RotationPlan;
  /** What of the address could not be used. */
  readonly problem: string | undefined;
  /** Changes the plan, and not yet the address. */
  readonly drag: (change: (plan: RotationPlan) => RotationPlan) => void;
  /** Brings the plan, or another one, into the address. */
  readonly settle: (how?: { readonly replace?: boolean; readonly plan?: RotationPlan }) => void;
}

export function usePlan({ route, go }: ChapterProps): PlanInHand {
  const { plan: there, problem } = rotationPlaceOf(route.params);
  const [draft, setDraft] = useState<RotationPlan>();
  const plan = draft ?? there;
  /** The newest, also before it is drawn. */
  const newest = useRef(plan);
  /** What the address is to be and does not say yet: what it said before does not count then. */
  const asked = useRef<string | undefined>(undefined);

  useEffect(() => {
    if (asked.current !== undefined && asked.current !== textOf(there)) return;
    asked.current = undefined;
    newest.current = there;
    setDraft(undefined);
  }, [route]);

  return {
    plan,
    problem,
    drag: (change) => {
      newest.current = change(newest.current);
      asked.current = textOf(newest.current);
      setDraft(newest.current);
    },
    settle: ({ replace = false, plan: next = newest.current } = {}) => {
      newest.current = next;
      setDraft(next);
      const isThere = textOf(rotationPlaceOf(parseRoute(location.hash).params).plan) === textOf(next);
      asked.current = isThere ? undefined : textOf(next);
      if (!isThere) go({ params: rotationParamsOf(next) }, { replace });
    },
  };
}

function textOf(plan: RotationPlan): string {
  return JSON.stringify(rotationParamsOf(plan));
}
