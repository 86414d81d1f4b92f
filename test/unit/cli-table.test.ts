// SPDX-License-Identifier: Apache-2.0
import test from "ava";
import {
  formatAmount,
  formatCount,
  formatDuration,
  renderRows,
  renderTable,
  type Column,
} from "../../src/cli/table.ts";

type Row = { readonly name: string; readonly count: number };

const COLUMNS: readonly Column<Row>[] = [
  { title: "NAME", value: ({ name }) => name },
  { title: "COUNT", value: ({ count }) => String(count), align: "right" },
  { title: "AGAIN", value: ({ name }) => name, widthMin: 8 },
  { title: "END", value: () => "" },
];

test("renderTable() lines up columns and leaves no space at the ends of lines", (t) => {
  const rows = [
    { name: "a", count: 1 },
    { name: "longer", count: 123_456 },
  ];
  t.is(
    renderTable(COLUMNS, rows),
    [
      "NAME     COUNT  AGAIN     END",
      "a            1  a",
      "longer  123456  longer",
      "",
    ].join("\n"),
  );
});

test("renderRows() goes on with a table whose columns have minimal widths", (t) => {
  const wide = COLUMNS.map((column) => ({ ...column, widthMin: 8 }));
  const whole = renderTable(wide, [
    { name: "a", count: 1 },
    { name: "b", count: 22 },
  ]);
  t.is(
    renderTable(wide, [{ name: "a", count: 1 }]) +
      renderRows(wide, [{ name: "b", count: 22 }]),
    whole,
  );
});

test("formatCount() groups digits", (t) => {
  t.is(formatCount(1_234_567), "1,234,567");
  t.is(formatCount(2n ** 63n), "9,223,372,036,854,775,808");
});

test("formatAmount() keeps two or three digits", (t) => {
  const amounts = [
    0,
    999,
    1_000,
    1_234,
    99_900,
    99_960,
    999_499,
    999_500,
    1_234_567,
    10n ** 19n,
  ] as const;
  t.deepEqual(
    amounts.map((amount) => formatAmount(amount)),
    [
      "0",
      "999",
      "1.0 k",
      "1.2 k",
      "99.9 k",
      "100 k",
      "999 k",
      "1.0 M",
      "1.2 M",
      "10.0 E",
    ],
  );
  t.is(formatAmount(3_400_000, "B"), "3.4 MB");
  t.is(formatAmount(0, "B"), "0 B");
});

test("formatDuration() shows the largest unit and the one below", (t) => {
  const durations = [
    0,
    12.4,
    999,
    1_000,
    59_999,
    60_000,
    61_500,
    3_600_000,
    90_061_000n,
  ] as const;
  t.deepEqual(
    durations.map((duration) => formatDuration(duration)),
    [
      "0 ms",
      "12 ms",
      "999 ms",
      "1.0 s",
      "59.9 s",
      "1 min 0 s",
      "1 min 1 s",
      "1 h 0 min",
      "1 d 1 h",
    ],
  );
});
