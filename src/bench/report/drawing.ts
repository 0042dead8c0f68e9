/** What the report's page is given to draw. Types alone, without an import: the page's script is checked against them, too. */

/** How the page writes values of an axis. */
export type Unit = 'count' | 'perSecond' | 'ms' | 'bytes' | 'cores' | 'share';

export interface Line {
  readonly label: string;
  /** One of the page's colours, 1 to 6. */
  readonly colour: number;
  readonly values: readonly (number | null)[];
  readonly fill?: true;
  /** Of the run that is compared with. */
  readonly dashed?: true;
  /** Read at the right axis. */
  readonly right?: true;
}

export interface Chart {
  readonly kind: 'lines';
  readonly id: string;
  readonly title: string;
  /** What to see in it; a figure without its chart. */
  readonly note: string;
  /** Seconds since the run began, or, of the curve, the tenth power of the share that is slower. */
  readonly x: readonly number[];
  readonly along: 'seconds' | 'percentile';
  readonly unit: Unit;
  readonly rightUnit?: Unit;
  readonly log?: true;
  readonly lines: readonly Line[];
}

/** Phases as bands behind the lines. */
export interface Band {
  readonly from: number;
  readonly to: number;
  readonly phase: string;
}

/** A row a process, a column a second; the values are those of the embedded result. */
export interface HeatMap {
  readonly kind: 'heat';
  readonly id: string;
  readonly title: string;
  readonly note: string;
  readonly blocks: readonly {
    readonly side: 'server' | 'client';
    readonly of: 'cpu' | 'loop';
    readonly label: string;
    readonly unit: Unit;
    /** The value of the strongest colour. */
    readonly max: number;
  }[];
}

export interface Drawing {
  readonly bands: readonly Band[];
  readonly charts: readonly (Chart | HeatMap)[];
}
