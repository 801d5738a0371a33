//! The places of an affiliate's rules, in one item that is changed by compare-and-set (V3).
//!
//! A place is taken before a rule's head is written and given back after it was deleted. The head decides if a place is used.

use std::collections::BTreeSet;

use tracking_core::{
    caller::{Caller, Owner},
    id::Id,
    json,
    json::Value,
    quota::Quota,
};

use super::{Refused, RuleHead};
use crate::{
    backend::{Backend, Key, Order, Partition, Range, StoreError, Swap},
    keys, rows,
    rules::RuleWriter,
};

/// Rules of a list that are read at a time.
const FETCH: usize = 1_000;

impl<B: Backend> RuleWriter<B> {
    /// The number of rules that an affiliate may have, and the number that it has.
    pub async fn quota(&self, caller: &Caller, affiliate: &Id) -> Result<Value, Refused> {
        if !caller.sees(&Owner::Affiliate { affiliate_id: affiliate.clone() }) {
            return Err(Refused::NotFound);
        }
        let (mut quota, _) = self.read_quota(affiliate).await?;
        self.recount(&mut quota).await?;
        Ok(shown(affiliate, &quota))
    }

    /// Allows an affiliate so many rules; those that it has beyond them stay.
    pub async fn set_quota(&self, affiliate: &Id, limit: u32) -> Result<Value, StoreError> {
        loop {
            let (mut quota, rev) = self.read_quota(affiliate).await?;
            quota.allow(limit);
            self.recount(&mut quota).await?;
            if self.write_quota(affiliate, rev, &quota).await? {
                return Ok(shown(affiliate, &quota));
            }
        }
    }

    /// Takes a place for a rule that is to be made at this version.
    pub(super) async fn take_place(&self, affiliate: &Id, rule: &Id, version: u64) -> Result<(), Refused> {
        loop {
            let (mut quota, rev) = self.read_quota(affiliate).await?;
            let now = self.store.now();
            if quota.take(rule, version, now).is_err() {
                self.recount(&mut quota).await?;
                quota.take(rule, version, now).map_err(|full| Refused::Conflict(full.to_string()))?;
            }
            if self.write_quota(affiliate, rev, &quota).await? {
                return Ok(());
            }
        }
    }

    /// Gives back the place of a rule that was deleted at this version.
    pub(super) async fn give_place_back(&self, affiliate: &Id, rule: &Id, version: u64) -> Result<(), StoreError> {
        loop {
            let Some((mut quota, rev)) = self.stored_quota(affiliate).await? else { return Ok(()) };
            if !quota.give_back(rule, version) || self.write_quota(affiliate, Some(rev), &quota).await? {
                return Ok(());
            }
        }
    }

    /// The quota as it is stored. At its first use the existing rules are counted in.
    async fn read_quota(&self, affiliate: &Id) -> Result<(Quota, Option<u64>), StoreError> {
        if let Some((quota, rev)) = self.stored_quota(affiliate).await? {
            return Ok((quota, Some(rev)));
        }
        let mut quota = Quota::default();
        let partition = Partition::Table(keys::owned(&Owner::Affiliate { affiliate_id: affiliate.clone() }));
        let mut range = Range::default();
        loop {
            let listed = self.store.backend().query(&partition, &range, Order::Ascending, FETCH).await?;
            let ids: Vec<Id> = listed.iter().filter_map(|item| item.key.sort.parse().ok()).collect();
            for (rule, head) in self.heads(&ids).await? {
                quota.count_in(&rule, head.version, head.created_at);
            }
            let Some(last) = listed.last().filter(|_| listed.len() == FETCH) else { return Ok((quota, None)) };
            range.from = Some(format!("{}\0", last.key.sort));
        }
    }

    async fn stored_quota(&self, affiliate: &Id) -> Result<Option<(Quota, u64)>, StoreError> {
        self.store.read_row(keys::quota(affiliate)).await
    }

    /// Writes the quota. Returns false if somebody else changed it since it was read.
    async fn write_quota(&self, affiliate: &Id, expect: Option<u64>, quota: &Quota) -> Result<bool, StoreError> {
        let key = keys::quota(affiliate);
        self.store.swap_one(Swap { key: key.clone(), expect, new: Some(rows::item(key, quota)) }).await.is_done()
    }

    /// Gives back the places that a crash left behind.
    async fn recount(&self, quota: &mut Quota) -> Result<(), StoreError> {
        // The time first: a change that is under way then and has no head yet is still young.
        let now = self.store.now();
        let ids: Vec<Id> = quota.rules().cloned().collect();
        let there: BTreeSet<Id> = self.heads(&ids).await?.into_iter().map(|(rule, _)| rule).collect();
        quota.give_back_unused(&there, now);
        Ok(())
    }

    /// The existing ones of these rules, with their heads.
    async fn heads(&self, ids: &[Id]) -> Result<Vec<(Id, RuleHead)>, StoreError> {
        let keys: Vec<Key> = ids.iter().map(keys::head).collect();
        let mut heads = Vec::new();
        for (id, item) in ids.iter().zip(self.store.backend().get(&keys).await?) {
            let Some(item) = item else { continue };
            let Some(head) = self.store.readable::<RuleHead>(&item) else { continue };
            if !head.deleted {
                heads.push((id.clone(), head));
            }
        }
        Ok(heads)
    }
}

fn shown(affiliate: &Id, quota: &Quota) -> Value {
    json!({"affiliate_id": affiliate, "rules": quota.limit(), "used": quota.rules().len()})
}
