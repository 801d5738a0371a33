//! The length that a head announces by its lines `Content-Length`.

/// The longest body that hyper takes for one.
const MAX_LENGTH: u64 = u64::MAX - 2;

/// The lengths that a head has announced so far. They are read a byte at a time.
#[derive(Debug, Default)]
pub(super) struct Length {
    announced: Option<u64>,
    place: Place,
}

/// The place within a value, which is a number, or several of them with commas between.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Place {
    #[default]
    Before,
    Number(u64),
    After,
}

impl Length {
    /// Begins with the value of a line.
    pub(super) fn begin_value(&mut self) {
        self.place = Place::Before;
    }

    /// Reads the next byte of a value, its line break included. Returns false if the value is no number, or not the one announced before.
    pub(super) fn accepts(&mut self, byte: u8) -> bool {
        let digit = byte.is_ascii_digit().then(|| u64::from(byte - b'0'));
        let (next, fits) = match (self.place, byte, digit) {
            (Place::Before, _, Some(digit)) => (Place::Number(digit), true),
            (Place::Number(number), _, Some(digit)) => {
                let number = number.checked_mul(10).and_then(|number| number.checked_add(digit));
                let number = number.filter(|number| *number <= MAX_LENGTH);
                number.map_or((Place::After, false), |number| (Place::Number(number), true))
            }
            (Place::Number(number), b' ' | b'\t' | b'\r' | b'\n', None) => (Place::After, self.agrees(number)),
            (Place::Number(number), b',', None) => (Place::Before, self.agrees(number)),
            (Place::After, b',', None) => (Place::Before, true),
            (place, b' ' | b'\t', None) => (place, true),
            (Place::After, b'\r' | b'\n', None) => (Place::After, true),
            _ => (Place::After, false),
        };
        self.place = next;
        fits
    }

    fn agrees(&mut self, number: u64) -> bool {
        *self.announced.get_or_insert(number) == number
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(values: &[&str], expected: bool) {
        let mut length = Length::default();
        let mut fits = true;
        for value in values {
            length.begin_value();
            let odd = format!("{value}\r\n").bytes().filter(|byte| !length.accepts(*byte)).count();
            fits &= odd == 0;
        }
        assert_eq!(fits, expected, "{values:?}");
    }

    #[test]
    fn case_a13_a_length_is_one_number_however_often_it_is_said() {
        for one in [&[" 5"][..], &["05 "], &["\t0"], &["5", "5"], &["5, 5"], &["5 ,\t5", "5"], &["18446744073709551613"], &[]] {
            check(one, true);
        }
        let none = ["", " ", "five", "-1", "+5", "5x", "5 5", "5,", ",5", "5.0", "0x5", "\u{0}", "18446744073709551614"];
        for value in none.into_iter().chain(["99999999999999999999"]) {
            check(&[value], false);
        }
        for two in [["2", "3"], ["2", "20"], ["20", "2"], ["5", ""], ["5, 6", "5"], ["5", "5, 6"]] {
            check(&two, false);
        }
    }
}
