//! Callers, actors and owners of rules (V2, V3).

use serde::{Deserialize, Serialize};

use crate::{change::Conversion, id::Id};

/// The caller of the API, read from the token's claims.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Caller {
    /// Sees and does everything.
    Admin,
    /// Sees what it owns, nothing else.
    Affiliate(Id),
}

/// The longest subject that is kept, in bytes.
const MOST_SUBJECT: usize = 256;

/// A caller that changes something, as the history stores it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Actor {
    /// The role; it alone decides what the caller may do.
    pub caller: Caller,
    subject: Option<Box<str>>,
}

impl Actor {
    /// A caller whose token has this subject (`sub`). A subject that is empty or longer than 256 bytes is left out.
    pub fn new(caller: Caller, subject: Option<&str>) -> Self {
        let subject = subject.filter(|subject| (1..=MOST_SUBJECT).contains(&subject.len())).map(Box::from);
        Self { caller, subject }
    }

    /// The token's subject, if it has one.
    pub fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// Returns true if the caller is an admin and an affiliate owns the rule.
    pub fn on_behalf_of(&self, owner: &Owner) -> bool {
        self.caller == Caller::Admin && owner.affiliate().is_some()
    }
}

impl From<&Caller> for Actor {
    fn from(caller: &Caller) -> Self {
        Self { caller: caller.clone(), subject: None }
    }
}

impl From<&Actor> for Actor {
    fn from(actor: &Actor) -> Self {
        actor.clone()
    }
}

/// The owner of a rule; it never changes after creation (V2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Owner {
    /// The platform's admins.
    Admin,
    /// An affiliate postback.
    Affiliate {
        /// The affiliate that owns it.
        affiliate_id: Id,
    },
}

impl Owner {
    /// The affiliate, if one owns the rule.
    pub fn affiliate(&self) -> Option<&Id> {
        match self {
            Self::Admin => None,
            Self::Affiliate { affiliate_id } => Some(affiliate_id),
        }
    }
}

impl Caller {
    /// Returns true if the caller may see this owner's rules: visibility goes by owner, never by condition (V2).
    pub fn sees(&self, owner: &Owner) -> bool {
        match self {
            Self::Admin => true,
            Self::Affiliate(own) => owner.affiliate() == Some(own),
        }
    }

    /// The role's name.
    pub fn role(&self) -> &'static str {
        match self {
            Self::Admin => "admin",
            Self::Affiliate(_) => "affiliate",
        }
    }

    /// Returns true if the caller may see the conversion: an affiliate sees only its own (V3).
    pub fn may_know(&self, conversion: &Conversion) -> bool {
        match self {
            Self::Admin => true,
            Self::Affiliate(own) => conversion.affiliate_id == *own,
        }
    }

    /// The owner of a rule that this caller creates for itself.
    pub fn as_owner(&self) -> Owner {
        match self {
            Self::Admin => Owner::Admin,
            Self::Affiliate(id) => Owner::Affiliate { affiliate_id: id.clone() },
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn v2_visibility_goes_by_owner() {
        let affiliate = |id: &str| id.parse::<Id>().unwrap();
        let owned_by_7 = Owner::Affiliate { affiliate_id: affiliate("aff_7") };
        assert!(Caller::Admin.sees(&owned_by_7));
        assert!(Caller::Admin.sees(&Owner::Admin));
        assert!(Caller::Affiliate(affiliate("aff_7")).sees(&owned_by_7));
        assert!(!Caller::Affiliate(affiliate("aff_8")).sees(&owned_by_7));
        assert!(!Caller::Affiliate(affiliate("aff_7")).sees(&Owner::Admin));
    }

    #[test]
    fn an_actor_keeps_a_subject_of_at_most_256_bytes() {
        let actor = |subject: &str| Actor::new(Caller::Admin, Some(subject));
        assert_eq!(actor("user-1").subject(), Some("user-1"));
        assert_eq!(actor(&"x".repeat(256)).subject().map(str::len), Some(256));
        assert_eq!(actor(&"x".repeat(257)), Actor::from(&Caller::Admin));
        assert_eq!(actor("").subject(), None);
    }

    #[test]
    fn v2_an_admin_acts_on_an_affiliates_behalf_and_nobody_else_does() {
        let own = Caller::Affiliate("aff_7".parse().unwrap());
        assert!(Actor::from(&Caller::Admin).on_behalf_of(&own.as_owner()));
        assert!(!Actor::from(&Caller::Admin).on_behalf_of(&Owner::Admin));
        assert!(!Actor::from(&own).on_behalf_of(&own.as_owner()));
    }
}
