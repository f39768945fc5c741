/**
 * The run of a plan, in parts between two pictures, so that dragging stays smooth. A run that has begun is finished, and
 * then comes the newest plan: so the picture follows a hand that does not rest.
 * @module
 */
import { useEffect, useRef, useState } from 'preact/hooks';
import { NobleEngine } from '../../../crypto/noble.ts';
import { RotationJob, type RotationRun } from '../../model/rotation.ts';
import type { RotationPlan } from '../../model/rotation-plan.ts';

/** ms of a picture's 16 that a run may take. */
const BUDGET = 8;

/** @returns the last run that was finished, and whether it is the one of this plan */
export function useRun(plan: RotationPlan): {
  readonly run: RotationRun | undefined;
  readonly isCurrent: boolean;
} {
  const [run, setRun] = useState<RotationRun>();
  const wanted = useRef(plan);
  wanted.current = plan;
  const isCurrent = run !== undefined && isSame(run.plan, plan);

  // One loop for the life of the chapter: it works while the last run is not that of the plan.
  useEffect(() => {
    let job: RotationJob | undefined;
    let done: RotationPlan | undefined;
    let frame = requestAnimationFrame(function goOn() {
      frame = requestAnimationFrame(goOn);
      if (!job && done && isSame(done, wanted.current)) return;
      const until = performance.now() + BUDGET;
      job ??= new RotationJob(wanted.current, { engine: new NobleEngine() });
      const finished = job.runUntil(() => performance.now() > until);
      if (!finished) return;
      job = undefined;
      done = finished.plan;
      setRun(finished);
    });
    return () => cancelAnimationFrame(frame);
  }, []);
  return { run, isCurrent };
}

function isSame(a: RotationPlan, b: RotationPlan): boolean {
  return a === b || JSON.stringify(a) === JSON.stringify(b);
}
