/** The queries of the pages, each under a key of its own. */
import { keepPreviousData, useInfiniteQuery, useQuery, useQueryClient } from "@tanstack/react-query";
import { useCallback, useSyncExternalStore } from "react";
import { type Session, session } from "../session";
import { api, content } from "./client";
import type { paths } from "./schema";
import { readable, type Rule, type State } from "./types";

/** The session; pages are shown only while there is one. */
export function useSession(): Session {
  const current = useSyncExternalStore(session.subscribe, session.current);
  return current ?? { token: "", role: "affiliate", affiliateId: null };
}

/** The items of a page by page list so far. */
export function flat<T extends object>(pages: { items: (T | { unreadable: object })[] }[] | undefined): T[] {
  return pages?.flatMap((page) => readable<T>(page.items as never)) ?? [];
}

/** The options of every query that reads page by page. */
export const paged = { initialPageParam: undefined as string | undefined, getNextPageParam: (page: { next_cursor?: string | null }) => page.next_cursor ?? undefined };

export type RuleFilters = Omit<NonNullable<paths["/tracking-apis"]["get"]["parameters"]["query"]>, "limit" | "cursor">;
export type RuleList = "tracking-apis" | "affiliate-postbacks";

export function useRules(list: RuleList, filters: RuleFilters, limit = 50) {
  return useInfiniteQuery({
    queryKey: ["rules", list, filters, limit],
    queryFn: ({ pageParam }) => {
      const page = { limit, ...(pageParam === undefined ? {} : { cursor: pageParam }) };
      if (list === "tracking-apis") return content(api.GET("/tracking-apis", { params: { query: { ...filters, ...page } } }));
      const { owner, ...rest } = filters;
      const query = owner === undefined ? rest : { ...rest, affiliate_id: owner };
      return content(api.GET("/affiliate-postbacks", { params: { query: { ...query, ...page } } }));
    },
    ...paged,
    placeholderData: keepPreviousData,
  });
}

export function useRule(id: string) {
  return useQuery({ queryKey: ["rule", id], queryFn: () => content(api.GET("/tracking-apis/{id}", { params: { path: { id } } })) });
}

type DeliveryQuery = NonNullable<paths["/deliveries"]["get"]["parameters"]["query"]>;
/** The description knows one state; the API takes the parameter several times. */
export type DeliveryFilters = Omit<DeliveryQuery, "limit" | "cursor" | "state"> & { state?: State[] };

export function useDeliveries(filters: DeliveryFilters, limit = 50) {
  return useInfiniteQuery({
    queryKey: ["deliveries", filters, limit],
    queryFn: ({ pageParam }) => {
      const page = { limit, ...(pageParam === undefined ? {} : { cursor: pageParam }) };
      return content(api.GET("/deliveries", { params: { query: { ...filters, ...page } as DeliveryQuery } }));
    },
    ...paged,
    placeholderData: keepPreviousData,
  });
}

/** The names of rules by their ids, of the newest 200; a rule that is not among them shows its id. */
export function useRuleNames(): ReadonlyMap<string, string> {
  const query = useQuery({
    queryKey: ["rules", "names"],
    queryFn: () => content(api.GET("/tracking-apis", { params: { query: { limit: 200 } } })),
    staleTime: 300_000,
    select: (page) => new Map(readable<Rule>(page.items).map((rule) => [rule.id, rule.name])),
  });
  return query.data ?? noNames;
}

const noNames: ReadonlyMap<string, string> = new Map();

export function useMacros() {
  return useQuery({ queryKey: ["macros"], queryFn: () => content(api.GET("/macros")), staleTime: Number.POSITIVE_INFINITY });
}

export function usePresets() {
  return useQuery({ queryKey: ["presets"], queryFn: () => content(api.GET("/presets")), staleTime: Number.POSITIVE_INFINITY });
}

export function useQuota(id: string | null) {
  return useQuery({ queryKey: ["quota", id], enabled: id !== null && id !== "", queryFn: () => content(api.GET("/affiliates/{id}/quota", { params: { path: { id: id ?? "" } } })) });
}

/** The counts of a period. */
export function useStats(query: NonNullable<paths["/stats"]["get"]["parameters"]["query"]>) {
  return useQuery({ queryKey: ["stats", query], queryFn: () => content(api.GET("/stats", { params: { query } })) });
}

/** Forgets what was read, after a change. */
export function useRefresh(): (...keys: string[]) => Promise<void> {
  const queries = useQueryClient();
  return useCallback(
    async (...keys: string[]) => {
      await Promise.all(keys.map((key) => queries.invalidateQueries({ queryKey: [key] })));
    },
    [queries],
  );
}
