//! The search for many shapes at once (Aho and Corasick, 1975), in time that is linear in the text whatever shapes and text are.
//!
//! Shapes of secrets are long and share little, so that nearly every state has one child. States of one shape are therefore consecutive: a
//! child is the next state, and only where shapes part is there a table. A state takes 10 bytes; a general automaton takes some 40, which
//! would be much for secrets of 200 KiB that are searched for once.

use std::{collections::HashMap, ops::Range};

/// The state before any byte of a shape.
const ROOT: u32 = 0;
/// The next state is a child of this one.
const CONTINUES: u8 = 1;
/// Further children are in the map.
const BRANCHES: u8 = 2;
/// Further children are in a table: those of states one byte from the root, where most texts leave the shapes again.
const TABLE: u8 = 4;

/// At least so many bytes at a cut are hidden.
const SHORTEST_REACH: usize = 64;

/// Each byte as it is compared: letters without their ASCII case; a blank as the plus of forms; `-` and `_` as the `+` and `/` of base 64.
static FOLDED: [u8; 256] = {
    let mut table = [0; 256];
    let mut byte = 0_u8;
    while byte < u8::MAX {
        table[byte as usize] = match byte {
            b' ' | b'-' => b'+',
            b'_' => b'/',
            _ => byte.to_ascii_lowercase(),
        };
        byte += 1;
    }
    table[byte as usize] = byte;
    table
};

/// Finds shapes in texts.
pub(crate) struct Automaton {
    /// The byte that leads into each state.
    bytes: Vec<u8>,
    flags: Vec<u8>,
    /// The state of the longest suffix that begins a shape too.
    fails: Vec<u32>,
    /// The longest shape that ends in each state; 0 is none.
    ends: Vec<u32>,
    shapes: Vec<Shape>,
    rows: Vec<Row>,
    /// The children of the root by their bytes.
    first: Box<[u32; 256]>,
    /// For each byte the number of the table of the state that it leads to from the root.
    table_of: Box<[u8; 256]>,
    tables: Vec<[u32; 256]>,
    branches: HashMap<(u32, u8), u32>,
    /// Bytes of shapes that may still be added.
    room: usize,
}

/// A stretch of bytes to be found.
#[derive(Clone, Copy)]
struct Shape {
    length: u32,
    /// Bytes after it that belong to it, whatever they are.
    more: u32,
}

/// Consecutive states, each the child of the one before.
#[derive(Clone, Copy)]
struct Row {
    first: u32,
    /// The state that the first one is a child of.
    parent: u32,
    /// Bytes that lead from the root to the first one.
    depth: u32,
}

impl Automaton {
    /// An automaton that takes shapes of so many bytes in all.
    pub(super) fn new(room: usize) -> Self {
        Self {
            bytes: vec![0],
            flags: vec![0],
            fails: vec![ROOT],
            ends: vec![0],
            shapes: vec![Shape { length: 0, more: 0 }],
            rows: Vec::new(),
            first: Box::new([ROOT; 256]),
            table_of: Box::new([0; 256]),
            tables: Vec::new(),
            branches: HashMap::new(),
            room,
        }
    }

    /// Adds a shape; where it is found, `more` bytes after it are hidden too. Returns false if there is no room for it.
    #[must_use]
    pub(super) fn add(&mut self, shape: &[u8], more: usize) -> bool {
        let Some(room) = self.room.checked_sub(shape.len()) else { return false };
        self.room = room;
        let mut state = ROOT;
        for (depth, byte) in (1..).zip(shape) {
            let byte = FOLDED[usize::from(*byte)];
            state = self.child(state, byte).unwrap_or_else(|| self.grow(state, byte, depth));
        }
        let shape = Shape { length: index(shape.len()), more: index(more) };
        match &mut self.ends[at(state)] {
            0 => {
                self.ends[at(state)] = index(self.shapes.len());
                self.shapes.push(shape);
            }
            known => {
                let known = &mut self.shapes[at(*known)];
                known.more = known.more.max(shape.more);
            }
        }
        true
    }

    fn grow(&mut self, parent: u32, byte: u8, depth: u32) -> u32 {
        let state = index(self.bytes.len());
        self.bytes.push(byte);
        self.flags.push(0);
        self.fails.push(ROOT);
        self.ends.push(0);
        if parent != ROOT && parent + 1 == state {
            self.flags[at(parent)] |= CONTINUES;
            return state;
        }
        self.rows.push(Row { first: state, parent, depth });
        if parent == ROOT {
            self.first[usize::from(byte)] = state;
        } else if depth == 2 {
            let parent = at(parent);
            let number = &mut self.table_of[usize::from(self.bytes[parent])];
            if self.flags[parent] & TABLE == 0 {
                self.flags[parent] |= TABLE;
                *number = u8::try_from(self.tables.len()).unwrap_or(u8::MAX);
                self.tables.push([ROOT; 256]);
            }
            self.tables[usize::from(*number)][usize::from(byte)] = state;
        } else {
            self.flags[at(parent)] |= BRANCHES;
            self.branches.insert((parent, byte), state);
        }
        state
    }

    fn child(&self, state: u32, byte: u8) -> Option<u32> {
        count_steps(1);
        if state == ROOT {
            return Some(self.first[usize::from(byte)]).filter(|child| *child != ROOT);
        }
        let flags = self.flags[at(state)];
        if flags & CONTINUES != 0 && self.bytes[at(state) + 1] == byte {
            return Some(state + 1);
        }
        if flags & TABLE != 0 {
            let table = &self.tables[usize::from(self.table_of[usize::from(self.bytes[at(state)])])];
            return Some(table[usize::from(byte)]).filter(|child| *child != ROOT);
        }
        if flags & BRANCHES != 0 { self.branches.get(&(state, byte)).copied() } else { None }
    }

    fn next(&self, mut state: u32, byte: u8) -> u32 {
        loop {
            if let Some(child) = self.child(state, byte) {
                return child;
            }
            if state == ROOT {
                return ROOT;
            }
            state = self.fails[at(state)];
        }
    }

    /// Makes it ready to search, once all shapes are added: level by level, since a suffix is shorter than the text that it ends.
    pub(super) fn link(&mut self) {
        let mut waiting: Vec<(Row, u32)> = Vec::with_capacity(self.rows.len());
        for (number, row) in self.rows.iter().enumerate() {
            let end = self.rows.get(number + 1).map_or(index(self.bytes.len()), |next| next.first);
            waiting.push((*row, end));
        }
        waiting.sort_by_key(|(row, _)| row.depth);
        let mut waiting = waiting.into_iter().peekable();
        // State, parent, and the end of the row.
        let mut level: Vec<(u32, u32, u32)> = Vec::new();
        let mut depth = 0;
        while !level.is_empty() || waiting.peek().is_some() {
            depth += 1;
            while let Some((row, end)) = waiting.next_if(|(row, _)| row.depth == depth) {
                level.push((row.first, row.parent, end));
            }
            level.retain_mut(|(state, parent, end)| {
                self.link_one(*state, *parent);
                *parent = *state;
                *state += 1;
                *state < *end
            });
        }
    }

    fn link_one(&mut self, state: u32, parent: u32) {
        let fail = if parent == ROOT { ROOT } else { self.next(self.fails[at(parent)], self.bytes[at(state)]) };
        self.fails[at(state)] = fail;
        let shorter = self.ends[at(fail)];
        match self.ends[at(state)] {
            0 => self.ends[at(state)] = shorter,
            own => {
                let more = self.shapes[at(shorter)].more;
                let own = &mut self.shapes[at(own)];
                own.more = own.more.max(more);
            }
        }
    }

    /// Adds the places of all shapes in a text to `found`; places that overlap may be reported as one.
    ///
    /// So many bytes at the text's end count whatever they are. A text that was cut may end with the beginning of a shape: if only those
    /// counted, a receiver could learn shapes one character at a time.
    pub(super) fn find(&self, text: &[u8], tail: usize, found: &mut Vec<Range<usize>>) {
        let mut state = ROOT;
        let start_of_all = found.len();
        let mut add = |place: Range<usize>| match found[start_of_all..].last_mut() {
            Some(last) if place.start < last.end => {
                last.start = last.start.min(place.start);
                last.end = last.end.max(place.end);
            }
            _ => found.push(place),
        };
        let starts: [bool; 256] = std::array::from_fn(|byte| self.first[usize::from(FOLDED[byte])] != ROOT);
        let mut end = 0;
        while end < text.len() {
            if state == ROOT {
                let skipped = text[end..].iter().position(|byte| starts[usize::from(*byte)]).unwrap_or(text.len() - end);
                count_steps(skipped);
                end += skipped;
            }
            let Some(byte) = text.get(end) else { break };
            state = self.next(state, FOLDED[usize::from(*byte)]);
            end += 1;
            let shape = self.ends[at(state)];
            if shape != 0 {
                let Shape { length, more } = self.shapes[at(shape)];
                add(end - at(length)..text.len().min(end + at(more)));
            }
        }
        if tail > 0 {
            add(text.len().saturating_sub(tail)..text.len());
        }
    }

    /// An upper bound of the length of a shape's place: a power of two, which reveals little about the longest shape.
    pub(super) fn reach(&self) -> usize {
        let longest = self.shapes.iter().map(|shape| at(shape.length) + at(shape.more)).max().unwrap_or_default();
        longest.next_power_of_two().max(SHORTEST_REACH)
    }
}

/// The position of a state's or a shape's entry.
fn at(state: u32) -> usize {
    usize::try_from(state).unwrap_or(usize::MAX)
}

fn index(length: usize) -> u32 {
    u32::try_from(length).unwrap_or(u32::MAX)
}

#[cfg(not(test))]
fn count_steps(_: usize) {}

#[cfg(test)]
use tests::count_steps;

#[cfg(test)]
pub(super) mod tests {
    use std::cell::Cell;

    use proptest::prelude::*;

    use super::*;

    thread_local! {
        static STEPS: Cell<usize> = const { Cell::new(0) };
    }

    pub(super) fn count_steps(steps: usize) {
        STEPS.set(STEPS.get() + steps);
    }

    /// The steps that automata took on this thread since the last call.
    pub(in crate::secrets) fn steps() -> usize {
        STEPS.replace(0)
    }

    fn covered(length: usize, places: impl IntoIterator<Item = Range<usize>>) -> Vec<bool> {
        let mut covered = vec![false; length];
        for place in places {
            covered[place].fill(true);
        }
        covered
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2_000))]

        #[test]
        fn f4_the_automaton_finds_what_comparing_everywhere_finds(
            shapes in prop::collection::vec("[ab]{1,6}|[abc]{1,3}", 1..12),
            text in "[abc]{0,60}",
        ) {
            let mut automaton = Automaton::new(1_000);
            for shape in &shapes {
                prop_assert!(automaton.add(shape.as_bytes(), 0));
            }
            automaton.link();
            let mut found = Vec::new();
            automaton.find(text.as_bytes(), 0, &mut found);
            let everywhere = shapes.iter().flat_map(|shape| {
                (0..text.len()).filter(|at| text[*at..].starts_with(shape.as_str())).map(|at| at..at + shape.len())
            });
            prop_assert_eq!(covered(text.len(), found), covered(text.len(), everywhere));
        }
    }

    #[test]
    fn f4_no_text_takes_more_than_two_steps_a_byte() {
        let mut automaton = Automaton::new(100_000);
        for last in "bcdefghij".bytes() {
            assert!(automaton.add(&[[b'a'; 4_095].as_slice(), &[last]].concat(), 0));
        }
        let built = steps();
        assert!(built <= 4_096 * 9, "{built}");
        automaton.link();
        let linked = steps();
        assert!(linked <= 2 * 4_096 * 9, "{linked}");
        let mut found = Vec::new();
        let text = "a".repeat(65_536);
        automaton.find(text.as_bytes(), 0, &mut found);
        let taken = steps();
        assert!(taken <= 2 * 65_536, "{taken}");
        assert!(found.is_empty());
        automaton.find(text.as_bytes(), automaton.reach(), &mut found);
        assert_eq!(format!("{found:?}"), "[61440..65536]");
    }

    #[test]
    fn f4_shapes_beyond_the_room_are_refused() {
        let mut automaton = Automaton::new(8);
        assert!(automaton.add(b"abcd", 0) && automaton.add(b"abce", 0));
        assert!(!automaton.add(b"a", 0));
    }

    #[test]
    fn f4_more_is_hidden_behind_a_shape_that_is_found_by_its_beginning() {
        let mut automaton = Automaton::new(100);
        assert!(automaton.add(b"bcd", 4) && automaton.add(b"abcd", 0) && automaton.add(b"bcd", 1));
        automaton.link();
        let mut found = Vec::new();
        automaton.find(b"xabcd123456 bcd1", 0, &mut found);
        assert_eq!(found, [1..9, 12..16]);
    }
}
