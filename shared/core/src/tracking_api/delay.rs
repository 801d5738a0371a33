//! The delay of a rule: none, a fixed one, or a hold for one final postback (F1–F4, W10).

use crate::{document::Fields, fault::Faults, json, json::Value};

/// The delay before a rule sends (F1).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Delay {
    /// Each change is sent at once.
    #[default]
    None,
    /// One postback a subject, once the conversion is settled.
    Final(Final),
    /// Each change is sent this many seconds after it came: 1 second to 30 days (W10).
    Fixed(u32),
}

/// The settings of one final postback (F1–F4).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Final {
    /// The wait after the conversion is settled: 0 to 604 800 seconds, 0 unless set; 0 sends in the step that settles it (F2).
    pub settle_seconds: u32,
    /// The longest time of a hold: 1 to 365 days, 120 unless set (F3).
    pub max_hold_days: u32,
    /// The end of a hold after that time (F3).
    pub on_expiry: OnExpiry,
    /// `true` if changes after the final postback are sent as corrections (F4).
    pub corrections: bool,
}

/// The end of a hold whose conversion is never settled (F3).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum OnExpiry {
    /// The delivery ends as `expired`.
    #[default]
    Expire,
    /// The present state is sent.
    SendCurrent,
}

impl OnExpiry {
    const WORDS: [(&str, Self); 2] = [("expire", Self::Expire), ("send_current", Self::SendCurrent)];

    /// The name in JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Expire => "expire",
            Self::SendCurrent => "send_current",
        }
    }
}

impl Default for Final {
    fn default() -> Self {
        Self { settle_seconds: 0, max_hold_days: 120, on_expiry: OnExpiry::Expire, corrections: false }
    }
}

const SETTINGS: [&str; 4] = ["settle_seconds", "max_hold_days", "on_expiry", "corrections"];

/// The longest fixed delay: 30 days.
const MAX_FIXED_SECONDS: u32 = 2_592_000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mode {
    None,
    Final,
    Fixed,
}

impl Delay {
    /// The seconds of a fixed delay.
    pub fn fixed_seconds(&self) -> Option<u32> {
        if let Self::Fixed(seconds) = self { Some(*seconds) } else { None }
    }

    /// Reads `delay` of a rule; absent is none. Faults go to `faults`, and a faulty field's default into the result.
    pub fn parse(value: Option<&Value>, pointer: &str, faults: &mut Faults) -> Self {
        let [settle, hold, expiry, corrections] = SETTINGS;
        let fields = Fields::open(value, pointer, &["mode", settle, hold, expiry, corrections, "seconds"], &[], faults);
        let mode = fields.word("mode", &[("none", Mode::None), ("final", Mode::Final), ("fixed", Mode::Fixed)], faults);
        let given = SETTINGS.iter().chain(&["seconds"]).any(|key| fields.get(key).is_some());
        if fields.get("mode").is_none() && given {
            faults.add(fields.at("mode"), "required beside other settings: choose none, final or fixed");
        }
        if mode == Some(Mode::None) {
            fields.refuse(&SETTINGS, "mode none sends at once; it belongs to mode final", faults);
        }
        if mode.is_some_and(|mode| mode != Mode::Fixed) {
            fields.refuse(&["seconds"], "it belongs to mode fixed", faults);
        }
        if mode == Some(Mode::None) {
            return Self::None;
        }
        if mode == Some(Mode::Fixed) {
            fields.refuse(&SETTINGS, "it belongs to mode final", faults);
            if fields.get("seconds").is_none() {
                faults.add(fields.at("seconds"), format!("required: choose 1 to {MAX_FIXED_SECONDS}"));
            }
            let seconds = fields.integer("seconds", 1..=MAX_FIXED_SECONDS, "seconds", faults);
            return seconds.map_or(Self::None, Self::Fixed);
        }
        let default = Final::default();
        let settings = Final {
            settle_seconds: fields.integer(settle, 0..=604_800, "seconds", faults).unwrap_or(default.settle_seconds),
            max_hold_days: fields.integer(hold, 1..=365, "days", faults).unwrap_or(default.max_hold_days),
            on_expiry: fields.word(expiry, &OnExpiry::WORDS, faults).unwrap_or_default(),
            corrections: fields.flag(corrections, faults).unwrap_or(default.corrections),
        };
        if mode == Some(Mode::Final) { Self::Final(settings) } else { Self::None }
    }

    /// The resource's form, with defaults.
    pub fn document(&self) -> Value {
        match self {
            Self::None => json!({"mode": "none"}),
            Self::Fixed(seconds) => json!({"mode": "fixed", "seconds": seconds}),
            Self::Final(settings) => json!({
                "mode": "final",
                "settle_seconds": settings.settle_seconds,
                "max_hold_days": settings.max_hold_days,
                "on_expiry": settings.on_expiry.as_str(),
                "corrections": settings.corrections,
            }),
        }
    }
}
