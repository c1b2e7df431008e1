"""Grafana's own schema, as TypeScript has it: the compiler finds unknown fields and wrong kinds."""

import json
import subprocess

# The schema has enumerations where a file has words, and says of a panel's options only in other types what they are.
# `null` stands for minus infinity in the first step of thresholds.
HEAD = """import type {
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

export const dashboard: Omit<Plain<Dashboard>, 'panels'> & { panels: Drawn[] } = """


def faults(dashboards, packages, out):
    folder = out / "schema"
    folder.mkdir(parents=True, exist_ok=True)
    modules = folder / "node_modules"
    modules.unlink(missing_ok=True)
    modules.symlink_to(packages / "node_modules")
    for name, dashboard in dashboards.items():
        (folder / f"{name}.ts").write_text(f"{HEAD}{json.dumps(dashboard, indent=1)};\n")
    compiler = [modules / ".bin/tsc", "--noEmit", "--strict", "--skipLibCheck", "--target", "es2022"]
    compiler += ["--moduleResolution", "bundler", "--module", "esnext", *(f"{name}.ts" for name in dashboards)]
    done = subprocess.run(compiler, cwd=folder, capture_output=True, text=True, check=False)
    # What the compiler has to say of the kinds themselves goes over many lines.
    return [line[:300] for line in done.stdout.splitlines() if ": error " in line] if done.returncode else []
