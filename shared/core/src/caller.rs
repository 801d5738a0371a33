//! Who asks, and who owns a rule (domain V2, V3).

use serde::{Deserialize, Serialize};

use crate::{change::Conversion, id::Id};

/// Who calls the API; taken from the token's claims.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Sees and does everything.
    Admin,
    /// Sees what it owns, nothing else.
    Affiliate(Id),
}

/// Whose rule it is. Never changes after creation (V2).
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Owner {
    /// The platform's own.
    Admin,
    /// An affiliate postback.
    Affiliate {
        /// The affiliate that owns it.
        affiliate_id: Id,
    },
}

impl Owner {
    /// The affiliate, if one owns it.
    pub fn affiliate(&self) -> Option<&Id> {
        match self {
            Self::Admin => None,
            Self::Affiliate { affiliate_id } => Some(affiliate_id),
        }
    }
}

impl Caller {
    /// V2: visibility goes by owner, never by condition.
    pub fn sees(&self, owner: &Owner) -> bool {
        match self {
            Self::Admin => true,
            Self::Affiliate(own) => owner.affiliate() == Some(own),
        }
    }

    /// V3: an affiliate learns of conversions that are its own alone.
    pub fn may_know(&self, conversion: &Conversion) -> bool {
        match self {
            Self::Admin => true,
            Self::Affiliate(own) => conversion.affiliate_id == *own,
        }
    }

    /// The owner of what this caller creates for itself.
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
}
