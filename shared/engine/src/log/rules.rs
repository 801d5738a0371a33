//! The table of rules, each with its health.

use tracking_core::{caller::Caller, json::Value};

use crate::{
    MOST_PAGE_BYTES,
    backend::Backend,
    log::Log,
    rules::{Filter, Listed, Refused, Rule, listed},
};

impl<B: Backend> Log<B> {
    /// Rules that the caller may see (V2), newest first, and the place at which the next page begins.
    pub async fn list_rules(
        &self,
        caller: &Caller,
        filter: &Filter,
        limit: usize,
        before: Option<String>,
    ) -> Result<(Vec<Value>, Option<String>), Refused> {
        let mut list = listed(caller, filter, before, limit);
        let mut found: Vec<(Value, Option<Rule>)> = Vec::new();
        let (mut bytes, mut next, mut last_given) = (0, None, None);
        let unreadable =
            |list: &mut Listed, most| list.unreadable(caller, most).into_iter().map(|shown| (shown, None)).collect::<Vec<_>>();
        while let Some((place, rule)) = self.rules.next_rule(&mut list).await? {
            found.extend(unreadable(&mut list, limit - found.len()));
            let view = self.rules.view(&rule).await?;
            if !filter.admits(&rule, &view.resource) || (filter.failing && !self.listed_health(&rule).await?.is_failing()) {
                continue;
            }
            bytes += view.resource.to_string().len();
            // One more than fits shows that there is a next page.
            if found.len() == limit || (bytes > MOST_PAGE_BYTES && !found.is_empty()) {
                next = last_given;
                break;
            }
            found.push((view.resource, Some(rule)));
            last_given = Some(place);
        }
        if next.is_none() {
            found.extend(unreadable(&mut list, limit - found.len()));
        }
        self.add_health(&mut found).await?;
        Ok((found.into_iter().map(|(resource, _)| resource).collect(), next))
    }
}
