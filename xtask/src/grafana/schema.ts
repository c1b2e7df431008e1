// The schema has enumerations where a file has words, and says of a panel's options only in other types what they are.
// `null` stands for minus infinity in the first step of thresholds.
import type {
  BarGaugeDisplayMode, BigValueColorMode, BigValueGraphMode, BigValueJustifyMode, BigValueTextMode, Dashboard,
  FieldConfig, GraphFieldConfig, OptionsWithLegend, OptionsWithTooltip, Panel, RowPanel, SingleStatBaseOptions,
} from '@grafana/schema';

type Plain<T> = T extends string ? `${T}` : T extends (infer E)[] ? Plain<E>[]
  : T extends object ? { [K in keyof T]: Plain<T[K]> } : T;
type Of<Type, Options, Custom> = Omit<Plain<Panel>, 'type' | 'options' | 'fieldConfig' | 'targets'> & {
  type: Type;
  options: Plain<Options>;
  targets: {
    refId: string; datasource: Plain<Panel['datasource']>; expr: string; legendFormat: string;
    instant?: boolean; range?: boolean;
  }[];
  fieldConfig: {
    defaults: Omit<Plain<FieldConfig>, 'custom'> & { custom?: Plain<Custom> };
    overrides: Plain<NonNullable<Panel['fieldConfig']>['overrides']>;
  };
};
type Stat = SingleStatBaseOptions & {
  colorMode: BigValueColorMode; graphMode: BigValueGraphMode; justifyMode: BigValueJustifyMode;
  textMode: BigValueTextMode;
};
type Drawn =
  | Of<'timeseries', OptionsWithLegend & OptionsWithTooltip, GraphFieldConfig>
  | Of<'stat', Stat, never>
  | Of<'bargauge', SingleStatBaseOptions & { displayMode: BarGaugeDisplayMode }, never>
  | Plain<RowPanel>;

export type Whole = Omit<Plain<Dashboard>, 'panels'> & { panels: Drawn[] };
