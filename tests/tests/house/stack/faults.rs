//! The faults of a stack.

use crate::stack::{
    access, functions, queues, stores,
    templates::{Stack, stack},
    watch,
};

/// Returns the faults of a stack, a sentence each.
pub(crate) fn faults(stack: &Stack) -> Vec<String> {
    let mut faults = Faults(Vec::new());
    functions::check(stack, &mut faults);
    queues::check(stack, &mut faults);
    access::check(stack, &mut faults);
    stores::check(stack, &mut faults);
    watch::check(stack, &mut faults);
    faults.0
}

/// Faults that are being collected.
pub(crate) struct Faults(Vec<String>);

impl Faults {
    /// Notes a fault.
    pub(crate) fn add(&mut self, fault: impl Into<String>) {
        self.0.push(fault.into());
    }

    /// Notes a fault unless the condition holds.
    pub(crate) fn unless(&mut self, holds: bool, fault: impl Into<String>) {
        if !holds {
            self.add(fault);
        }
    }
}

#[test]
fn the_stack_has_no_fault() {
    let faults = faults(stack());
    assert!(faults.is_empty(), "\n{}\n", faults.join("\n"));
}
