import { useComputedColorScheme } from "@mantine/core";

/** Returns true while dark colours are shown. */
export function useIsDark(): boolean {
  return useComputedColorScheme("light", { getInitialValueInEffect: false }) === "dark";
}
