//! Texts that are a single amount of money: they keep its currency, which `cents` needs.

use super::{Piece, Scope, Slot, Template, Use, modifier::Modifier};
use crate::macros::{Fixed, Macro};

impl Template {
    /// The currency of the text, if it is a single amount whose currency is known.
    pub(crate) fn currency<'a>(&self, scope: &Scope<'a>) -> Option<&'a str> {
        match &*self.pieces {
            [Piece::Slot(slot)] if slot.modifiers.iter().all(Modifier::keeps_amount) => slot.value(scope).ok()?.currency(),
            _ => None,
        }
    }

    /// Returns true if the text is a single amount of the event. `is_money` decides for variables.
    pub(crate) fn is_money(&self, is_money: &dyn Fn(&str) -> bool) -> bool {
        matches!(&*self.pieces, [Piece::Slot(slot)] if slot.is_money(is_money) && slot.modifiers.iter().all(Modifier::keeps_amount))
    }

    /// The macros with the modifier `cents` whose currency is not known. `is_money` decides whether a variable is an amount of the event.
    pub(crate) fn cents_without_currency(&self, is_money: &dyn Fn(&str) -> bool) -> impl Iterator<Item = Use<'_>> {
        let is_unknown = |slot: &&Slot| {
            let cents = slot.modifiers.iter().position(|modifier| matches!(modifier, Modifier::Cents));
            cents.is_some_and(|at| !slot.is_money(is_money) || !slot.modifiers[..at].iter().all(Modifier::keeps_amount))
        };
        self.slots().filter(is_unknown).map(Slot::as_use).collect::<Vec<_>>().into_iter()
    }
}

impl Slot {
    fn is_money(&self, is_money: &dyn Fn(&str) -> bool) -> bool {
        match &self.source {
            Macro::Fixed(Fixed::Value | Fixed::Payout | Fixed::Revenue) => true,
            Macro::Var(name) => is_money(name),
            _ => false,
        }
    }
}

impl Modifier {
    /// Returns true if the modifier keeps an amount an amount, in its currency.
    fn keeps_amount(&self) -> bool {
        matches!(self, Self::Default(_) | Self::OmitIfEmpty | Self::Number { .. } | Self::Calculate(..))
    }
}
