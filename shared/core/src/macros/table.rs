//! The rows of the catalogue.

use super::{Family, Fixed, Kind, MacroInfo, ModifierInfo};

/// A row that any rule may use.
const fn row(
    group: &'static str,
    kind: Fixed,
    name: &'static str,
    aliases: &'static [&'static str],
    description: &'static str,
    example: &'static str,
) -> MacroInfo {
    MacroInfo { name, aliases, group, description, example, admins_only: false, answer_only: false, kind: Kind::Fixed(kind) }
}

/// A row for a family of macros with a key.
const fn family(kind: Family, name: &'static str, description: &'static str, example: &'static str) -> MacroInfo {
    MacroInfo {
        name,
        aliases: &[],
        group: "dynamic",
        description,
        example,
        admins_only: false,
        answer_only: false,
        kind: Kind::Family(kind),
    }
}

/// The same row, for rules of admins alone (V3).
const fn admins(row: MacroInfo) -> MacroInfo {
    MacroInfo { admins_only: true, ..row }
}

/// The same row, for `set` of an answer rule alone (A3).
const fn answer(row: MacroInfo) -> MacroInfo {
    MacroInfo { answer_only: true, group: "answer", ..row }
}

/// A sub-parameter of the affiliate.
const fn affs(name: &'static str, aliases: &'static [&'static str]) -> MacroInfo {
    row("affiliate", Fixed::Affs(name), name, aliases, "A sub-parameter of the affiliate's link.", "summer")
}

pub(super) const MACROS: &[MacroInfo] = &[
    row("identity", Fixed::Pcid, "pcid", &["pldk_conversion_id"], "The platform's click id.", "pc-1"),
    row("identity", Fixed::ConversionId, "conversion_id", &[], "The conversion's id.", "cnv_1"),
    row("identity", Fixed::TransactionId, "transaction_id", &[], "The transaction's id; empty if there is none.", "trx_1"),
    row(
        "identity",
        Fixed::ExternalId,
        "external_id",
        &["advertiser_custom_id"],
        "The advertiser's id of the conversion.",
        "X-77",
    ),
    row("identity", Fixed::CommissionId, "commission_id", &[], "The commission rule that made the transaction.", "com_1"),
    row("identity", Fixed::EventId, "event_id", &[], "The change of the platform that the postback tells.", "chg_0001"),
    row("identity", Fixed::DeliveryId, "delivery_id", &[], "The delivery's id, the same in every attempt.", "dlv_01h455vb4pex"),
    row("identity", Fixed::TrackingApiId, "tracking_api_id", &[], "The rule's id.", "trk_1"),
    row("affiliate", Fixed::AffiliateId, "affiliate_id", &[], "The conversion's final owner.", "aff_7"),
    row(
        "affiliate",
        Fixed::AffiliateClickId,
        "affiliate_click_id",
        &["affiliateClickId", "click_id"],
        "The affiliate's own click id.",
        "click 1/2",
    ),
    affs("affs1", &["sub1"]),
    affs("affs2", &["sub2"]),
    affs("affs3", &["sub3"]),
    affs("affs4", &["sub4"]),
    affs("affs5", &["sub5"]),
    affs("affs6", &["sub6"]),
    affs("affs7", &["sub7"]),
    affs("affs8", &["sub8"]),
    affs("affs9", &["sub9"]),
    affs("affs10", &["sub10"]),
    row("affiliate", Fixed::Voucher, "voucher", &["promo_code"], "The promo code that was used.", "WINTER10"),
    row("offer", Fixed::OfferId, "offer_id", &[], "The offer's id.", "off_5"),
    row("offer", Fixed::OfferName, "offer_name", &[], "The offer's name.", "Loan CZ"),
    row("offer", Fixed::AdvertiserId, "advertiser_id", &[], "The advertiser's id.", "adv_2"),
    row("offer", Fixed::AdvertiserName, "advertiser_name", &[], "The advertiser's name.", "Bank"),
    row("offer", Fixed::ChannelId, "channel_id", &[], "The channel's id.", "chn_1"),
    row("offer", Fixed::Channel, "channel", &[], "The channel's name.", "main"),
    row("offer", Fixed::IntegrationId, "integration_id", &[], "The integration's id.", "int_3"),
    row("offer", Fixed::Source, "source", &[], "How the conversion was tracked: link, iframe or api.", "link"),
    row("offer", Fixed::Country, "country", &[], "The conversion's country.", "CZ"),
    row(
        "conversion",
        Fixed::ConversionType,
        "conversion_type",
        &["type", "goal"],
        "The conversion's type; of a custom one, its name.",
        "sale",
    ),
    row("conversion", Fixed::Value, "value", &["amount", "sale_amount"], "The order's value.", "100.00"),
    row("conversion", Fixed::Currency, "currency", &[], "The currency of the value.", "EUR"),
    row("conversion", Fixed::Ip, "ip", &[], "The visitor's address.", "203.0.113.9"),
    row("conversion", Fixed::UserAgent, "user_agent", &[], "The visitor's browser.", "Mozilla/5.0"),
    row("transaction", Fixed::TransactionType, "transaction_type", &[], "The transaction's type.", "sale"),
    row("transaction", Fixed::Result, "result", &["status"], "pending, approved or rejected.", "approved"),
    row("transaction", Fixed::PreviousResult, "previous_result", &[], "The result before this change.", "pending"),
    row("transaction", Fixed::Payout, "payout", &["sum"], "What the affiliate gets.", "5.00"),
    row("transaction", Fixed::PayoutCurrency, "payout_currency", &[], "The currency of payout and revenue.", "EUR"),
    admins(row("transaction", Fixed::Revenue, "revenue", &[], "What the platform gets.", "8.00")),
    row("event", Fixed::Event, "event", &[], "What happened.", "transaction_updated"),
    row("event", Fixed::IsFinal, "is_final", &[], "1 if the result will not change any more, else 0.", "1"),
    row("event", Fixed::IsCorrection, "is_correction", &[], "1 if a final postback went out before, else 0.", "0"),
    row("event", Fixed::Attempt, "attempt", &[], "1 is the first.", "1"),
    row("event", Fixed::IsTest, "is_test", &[], "1 if a person tries the rule out, else 0.", "0"),
    row("time", Fixed::ClickAt, "click_at", &[], "When the click happened.", "2026-11-22T08:00:00Z"),
    row("time", Fixed::ConversionAt, "conversion_at", &["date"], "When the conversion was made.", "2026-11-22T08:30:00Z"),
    row(
        "time",
        Fixed::UpdatedAt,
        "updated_at",
        &[],
        "When the transaction last changed; on events of a conversion, the conversion.",
        "2026-11-22T08:59:59Z",
    ),
    row("time", Fixed::ResultAt, "result_at", &[], "When the transaction got its result.", "2026-11-22T08:59:59Z"),
    row("time", Fixed::EventAt, "event_at", &[], "When the change happened.", "2026-11-22T08:59:59.12Z"),
    row("time", Fixed::Now, "now", &[], "The time of this attempt.", "2026-11-22T09:00:01Z"),
    row("time", Fixed::Timestamp, "timestamp", &[], "When the change happened, in unix seconds.", "1795337999"),
    family(Family::Query, "query.<key>", "A parameter of the tracking link.", "query.utm_source"),
    family(Family::Cookie, "cookie.<key>", "A cookie that the pixel read.", "cookie.fbp"),
    family(Family::Secret, "secret.<name>", "A secret of the rule; masked wherever a person looks.", "secret.token"),
    family(Family::Var, "var.<name>", "What an earlier answer of this delivery set.", "var.ticket"),
    row(
        "dynamic",
        Fixed::Uuid,
        "uuid",
        &[],
        "A UUID, derived from the delivery, the attempt and the place in the text.",
        "5f0f8d0e-6f0c-8a52-9d11-0c6f7a1e4b3d",
    ),
    row("dynamic", Fixed::Random, "random", &[], "A number below 10 000 000 000, derived as the UUID is.", "4820193375"),
    answer(family(Family::Body, "body.<path>", "A field of the answer, JSON or form.", "body.items[0].id")),
    answer(family(Family::Header, "header.<name>", "A header of the answer.", "header.x-request-id")),
    answer(row("answer", Fixed::HttpCode, "http_code", &[], "The status of the answer.", "200")),
];

/// A row of the modifiers.
const fn modifier(name: &'static str, argument: &'static str, description: &'static str, example: &'static str) -> ModifierInfo {
    ModifierInfo { name, argument, description, example }
}

pub(super) const MODIFIERS: &[ModifierInfo] = &[
    modifier("default", "x", "x in place of an empty value.", "{channel|default:none}"),
    modifier(
        "map",
        "from=to,from=to",
        "The word after = in place of the one before it; any other value is left as it is.",
        "{result|map:pending=2,approved=1,rejected=3}",
    ),
    modifier(
        "date",
        "FORMAT[,ZONE]",
        "A time by strftime letters, in an IANA time zone (UTC unless given); what is no time is left as it is.",
        "{now|date:%d.%m.%Y %H:%M,Europe/Prague}",
    ),
    modifier("unix", "", "A time in unix seconds; what is no time is left as it is.", "{conversion_at|unix}"),
    modifier("unixms", "", "A time in unix milliseconds; what is no time is left as it is.", "{event_at|unixms}"),
    modifier(
        "number",
        "DIGITS",
        "Rounded to 0 to 18 decimal places, halves away from zero; what is no number is left as it is.",
        "{value|number:2}",
    ),
    modifier(
        "cents",
        "",
        "Hundredths as a whole number, halves away from zero; what is no number is left as it is.",
        "{payout|cents}",
    ),
    modifier("lower", "", "Lower case.", "{currency|lower}"),
    modifier("upper", "", "Upper case.", "{country|upper}"),
    modifier("trim", "", "Without white space at both ends.", "{query.name|trim}"),
    modifier("urlencode", "", "Percent-encoded, over and above what its place asks for.", "{pcid|urlencode}"),
    modifier("urldecode", "", "Percent-decoded.", "{query.back|urldecode}"),
    modifier("base64", "", "In standard base64 with padding.", "{pcid|base64}"),
    modifier(
        "base64decode",
        "",
        "Out of base64, standard or URL-safe; what is no base64 of a text is left as it is.",
        "{query.blob|base64decode}",
    ),
    modifier("md5", "", "MD5 in lower-case hex.", "{query.email|lower|md5}"),
    modifier("sha1", "", "SHA-1 in lower-case hex.", "{query.email|lower|sha1}"),
    modifier("sha256", "", "SHA-256 in lower-case hex.", "{query.email|lower|sha256}"),
    modifier(
        "hmac_sha256",
        "SECRETNAME",
        "HMAC-SHA256 in lower-case hex, keyed with a secret of the rule; empty while the secret has no value.",
        "{transaction_id|hmac_sha256:key}",
    ),
    modifier("replace", "from,to", "Every from becomes to.", "{value|replace:.,\\,}"),
    modifier(
        "regex",
        "/from/to/",
        "Every match of the regular expression becomes to, where $1 or ${name} is a group.",
        "{pcid|regex:/^pc-(.*)$/$1/}",
    ),
    modifier("prefix", "x", "x in front.", "{pcid|prefix:p-}"),
    modifier("suffix", "x", "x behind.", "{value|suffix: CZK}"),
    modifier("raw", "", "Without percent-encoding, except of characters that no URL may hold, and of #.", "{query.path|raw}"),
    modifier(
        "omit_if_empty",
        "",
        "Drops the whole query entry, header or body field if the value is empty at this point.",
        "{voucher|omit_if_empty}",
    ),
];
