/** Icons, drawn as lines of 24 by 24. They say nothing to a screen reader: the text beside them does. */
const paths = {
  rules: "M4 6h16M4 12h16M4 18h10",
  people: "M9 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6M3 20c0-3 2.5-5 6-5s6 2 6 5M16 5.5a3 3 0 0 1 0 5M18 15.5c2 .6 3 2.3 3 4.5",
  log: "M5 4h14v16H5zM8.5 9h7M8.5 13h7M8.5 17h4",
  explain: "M12 21a9 9 0 1 0 0-18 9 9 0 0 0 0 18M9.5 9.5a2.5 2.5 0 1 1 3.6 2.3c-.8.4-1.1.9-1.1 1.7M12 17h0",
  overview: "M4 20V10M10 20V4M16 20v-7M21 20H3",
  replay: "M4 12a8 8 0 1 0 2.5-5.8M4 4v4.5h4.5",
  rejected: "M12 3 2.5 20h19zM12 10v4M12 17h0",
  offers: "M3 12V4h8l10 10-8 8zM7.5 8.5h0",
  quota: "M4 18a8 8 0 1 1 16 0M12 18l4-6",
  macros: "M8 4c-3 0-2 4-2 5.5S5 12 4 12c1 0 2 1 2 2.5S5 20 8 20M16 4c3 0 2 4 2 5.5S19 12 20 12c-1 0-2 1-2 2.5s1 5.5-2 5.5",
  plus: "M12 5v14M5 12h14",
  trash: "M5 7h14M10 7V4h4v3M7 7l1 13h8l1-13M10 11v5M14 11v5",
  menu: "M4 7h16M4 12h16M4 17h16",
  close: "M6 6l12 12M18 6 6 18",
  sun: "M12 16a4 4 0 1 0 0-8 4 4 0 0 0 0 8M12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6 19 19M5 19l1.4-1.4M17.6 6.4 19 5",
  moon: "M20 14.5A8 8 0 1 1 9.5 4 6.5 6.5 0 0 0 20 14.5",
  exit: "M10 4H5v16h5M14 8l4 4-4 4M18 12H9",
  edit: "M4 20h4L19 9l-4-4L4 16zM13 7l4 4",
  copy: "M9 9h11v11H9zM5 15H4V4h11v1",
  check: "M5 12.5 10 17 19 7",
  download: "M12 4v11M7.5 11 12 15.5 16.5 11M5 20h14",
  columns: "M4 5h16v14H4zM9.5 5v14M14.5 5v14",
  dots: "M5 12h0M12 12h0M19 12h0",
} as const;

export type IconName = keyof typeof paths;

export function Icon({ name, size = 18 }: { name: IconName; size?: number }) {
  const width = name === "dots" ? 3 : 1.8;
  return (
    <svg width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth={width} strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
      <path d={paths[name]} />
    </svg>
  );
}
