/**
 * What a chapter is. Each stands in a folder of its own in `chapters/`, and is listed in `chapters/index.ts`.
 * @module
 */
import type { FunctionComponent } from 'preact';
import type { Route, RouteChange } from './route.ts';

/** What a chapter's view gets. It keeps no state of its own that a link should show: that is in `route`. */
export interface ChapterProps {
  readonly route: Route;
  /**
   * Goes to a changed address. What the reader does is a step that the browser's back button undoes; with `replace` it
   * takes the place of the last one, as for a slider on its way.
   */
  readonly go: Go;
}

export type Go = (change: RouteChange, how?: { readonly replace?: boolean }) => void;

export interface Chapter {
  /** First part of its addresses. */
  readonly id: string;
  readonly title: string;
  /** One sentence, for the front page. */
  readonly summary: string;
  readonly View: FunctionComponent<ChapterProps>;
}
