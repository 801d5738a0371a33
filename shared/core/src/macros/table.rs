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
    gives: &'static str,
) -> MacroInfo {
    MacroInfo {
        name,
        aliases,
        group,
        description,
        example,
        gives,
        admins_only: false,
        answer_only: false,
        kind: Kind::Fixed(kind),
    }
}

/// A row for a family of macros with a key.
const fn family(
    kind: Family,
    name: &'static str,
    description: &'static str,
    example: &'static str,
    gives: &'static str,
) -> MacroInfo {
    MacroInfo {
        name,
        aliases: &[],
        group: "dynamic",
        description,
        example,
        gives,
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
const fn affs(name: &'static str, aliases: &'static [&'static str], example: &'static str) -> MacroInfo {
    row("affiliate", Fixed::Affs(name), name, aliases, "A sub-parameter of the affiliate's link.", example, "summer")
}

pub(super) const MACROS: &[MacroInfo] = &[
    row("identity", Fixed::Pcid, "pcid", &["pldk_conversion_id"], "The platform's click id.", "{pcid}", "pc-1"),
    row("identity", Fixed::ConversionId, "conversion_id", &[], "The conversion's id.", "{conversion_id}", "cnv_1"),
    row(
        "identity",
        Fixed::TransactionId,
        "transaction_id",
        &[],
        "The transaction's id; empty if there is none.",
        "{transaction_id}",
        "trx_1",
    ),
    row(
        "identity",
        Fixed::ExternalId,
        "external_id",
        &["advertiser_custom_id"],
        "The advertiser's id of the conversion.",
        "{external_id}",
        "X-77",
    ),
    row(
        "identity",
        Fixed::CommissionId,
        "commission_id",
        &[],
        "The commission rule that made the transaction.",
        "{commission_id}",
        "com_1",
    ),
    row(
        "identity",
        Fixed::EventId,
        "event_id",
        &[],
        "The change of the platform that the postback tells.",
        "{event_id}",
        "chg_0001",
    ),
    row(
        "identity",
        Fixed::DeliveryId,
        "delivery_id",
        &[],
        "The delivery's id, the same in every attempt.",
        "{delivery_id}",
        "dlv_01h455vb4pex",
    ),
    row("identity", Fixed::TrackingApiId, "tracking_api_id", &[], "The rule's id.", "{tracking_api_id}", "trk_1"),
    row("affiliate", Fixed::AffiliateId, "affiliate_id", &[], "The conversion's final owner.", "{affiliate_id}", "aff_7"),
    row(
        "affiliate",
        Fixed::AffiliateClickId,
        "affiliate_click_id",
        &["affiliateClickId", "click_id"],
        "The affiliate's own click id.",
        "{affiliate_click_id}",
        "click 1/2",
    ),
    affs("affs1", &["sub1"], "{affs1}"),
    affs("affs2", &["sub2"], "{affs2}"),
    affs("affs3", &["sub3"], "{affs3}"),
    affs("affs4", &["sub4"], "{affs4}"),
    affs("affs5", &["sub5"], "{affs5}"),
    affs("affs6", &["sub6"], "{affs6}"),
    affs("affs7", &["sub7"], "{affs7}"),
    affs("affs8", &["sub8"], "{affs8}"),
    affs("affs9", &["sub9"], "{affs9}"),
    affs("affs10", &["sub10"], "{affs10}"),
    row("affiliate", Fixed::Voucher, "voucher", &["promo_code"], "The promo code that was used.", "{voucher}", "WINTER10"),
    row("offer", Fixed::OfferId, "offer_id", &[], "The offer's id.", "{offer_id}", "off_5"),
    row("offer", Fixed::OfferName, "offer_name", &[], "The offer's name.", "{offer_name}", "Loan CZ"),
    row("offer", Fixed::AdvertiserId, "advertiser_id", &[], "The advertiser's id.", "{advertiser_id}", "adv_2"),
    row("offer", Fixed::AdvertiserName, "advertiser_name", &[], "The advertiser's name.", "{advertiser_name}", "Bank"),
    row("offer", Fixed::ChannelId, "channel_id", &[], "The channel's id.", "{channel_id}", "chn_1"),
    row("offer", Fixed::Channel, "channel", &[], "The channel's name.", "{channel}", "main"),
    row("offer", Fixed::IntegrationId, "integration_id", &[], "The integration's id.", "{integration_id}", "int_3"),
    row("offer", Fixed::Source, "source", &[], "How the conversion was tracked: link, iframe or api.", "{source}", "link"),
    row("offer", Fixed::Country, "country", &[], "The conversion's country.", "{country}", "CZ"),
    row(
        "conversion",
        Fixed::ConversionType,
        "conversion_type",
        &["type", "goal"],
        "The conversion's type; of a custom one, its name.",
        "{conversion_type}",
        "sale",
    ),
    row("conversion", Fixed::Value, "value", &["amount", "sale_amount"], "The order's value.", "{value}", "100.00"),
    row("conversion", Fixed::Currency, "currency", &[], "The currency of the value.", "{currency}", "EUR"),
    row("conversion", Fixed::Ip, "ip", &[], "The visitor's address.", "{ip}", "203.0.113.9"),
    row("conversion", Fixed::UserAgent, "user_agent", &[], "The visitor's browser.", "{user_agent}", "Mozilla/5.0"),
    row("transaction", Fixed::TransactionType, "transaction_type", &[], "The transaction's type.", "{transaction_type}", "sale"),
    row("transaction", Fixed::Result, "result", &["status"], "pending, approved or rejected.", "{result}", "approved"),
    row(
        "transaction",
        Fixed::PreviousResult,
        "previous_result",
        &[],
        "The result before this change.",
        "{previous_result}",
        "pending",
    ),
    row("transaction", Fixed::Payout, "payout", &["sum"], "What the affiliate gets.", "{payout}", "5.00"),
    row(
        "transaction",
        Fixed::PayoutCurrency,
        "payout_currency",
        &[],
        "The currency of payout and revenue.",
        "{payout_currency}",
        "EUR",
    ),
    admins(row("transaction", Fixed::Revenue, "revenue", &[], "What the platform gets.", "{revenue}", "8.00")),
    row("event", Fixed::Event, "event", &[], "What happened.", "{event}", "transaction_updated"),
    row("event", Fixed::IsFinal, "is_final", &[], "1 if the result will not change any more, else 0.", "{is_final}", "1"),
    row(
        "event",
        Fixed::IsCorrection,
        "is_correction",
        &[],
        "1 if a final postback went out before, else 0.",
        "{is_correction}",
        "0",
    ),
    row("event", Fixed::Attempt, "attempt", &[], "1 is the first.", "{attempt}", "1"),
    row("event", Fixed::IsTest, "is_test", &[], "1 if a person tries the rule out, else 0.", "{is_test}", "0"),
    row("time", Fixed::ClickAt, "click_at", &[], "When the click happened.", "{click_at}", "2026-11-22T08:00:00Z"),
    row(
        "time",
        Fixed::ConversionAt,
        "conversion_at",
        &["date"],
        "When the conversion was made.",
        "{conversion_at}",
        "2026-11-22T08:30:00Z",
    ),
    row(
        "time",
        Fixed::UpdatedAt,
        "updated_at",
        &[],
        "When the transaction last changed; on events of a conversion, the conversion.",
        "{updated_at}",
        "2026-11-22T08:59:59Z",
    ),
    row("time", Fixed::ResultAt, "result_at", &[], "When the transaction got its result.", "{result_at}", "2026-11-22T08:59:59Z"),
    row("time", Fixed::EventAt, "event_at", &[], "When the change happened.", "{event_at}", "2026-11-22T08:59:59.12Z"),
    row("time", Fixed::Now, "now", &[], "The time of this attempt.", "{now}", "2026-11-22T09:00:01Z"),
    row("time", Fixed::Timestamp, "timestamp", &[], "When the change happened, in unix seconds.", "{timestamp}", "1795337999"),
    family(Family::Query, "query.<key>", "A parameter of the tracking link.", "{query.utm_source}", "mail"),
    family(Family::Cookie, "cookie.<key>", "A cookie that the pixel read.", "{cookie.fbp}", "fb.1.2"),
    family(Family::Secret, "secret.<name>", "A secret of the rule; masked wherever a person looks.", "{secret.token}", "s3cr3t"),
    family(Family::Var, "var.<name>", "What an earlier answer of this delivery set.", "{var.ticket}", "T-5"),
    row(
        "dynamic",
        Fixed::Uuid,
        "uuid",
        &[],
        "A UUID, derived from the delivery, the attempt and the place in the text.",
        "{uuid}",
        "771a452b-465e-84f3-ac13-60674e016715",
    ),
    row(
        "dynamic",
        Fixed::Random,
        "random",
        &[],
        "A number below 10 000 000 000, derived as the UUID is.",
        "{random}",
        "4862160570",
    ),
    answer(family(Family::Body, "body.<path>", "A field of the answer: JSON, XML or form.", "{body.items[0].id}", "L-1")),
    answer(row(
        "answer",
        Fixed::Body,
        "body",
        &[],
        "The whole body of the answer, as text.",
        "{body|regex:/.*(L-[0-9]+).*/$1/}",
        "L-1",
    )),
    answer(family(Family::Header, "header.<name>", "A header of the answer.", "{header.x-request-id}", "req-7")),
    answer(row("answer", Fixed::HttpCode, "http_code", &[], "The status of the answer.", "{http_code}", "200")),
];

/// A row of the modifiers.
const fn modifier(
    name: &'static str,
    argument: &'static str,
    description: &'static str,
    example: &'static str,
    gives: &'static str,
) -> ModifierInfo {
    ModifierInfo { name, argument, description, example, gives }
}

pub(super) const MODIFIERS: &[ModifierInfo] = &[
    modifier("default", "x", "x in place of an empty value.", "{query.coupon|default:none}", "none"),
    modifier(
        "map",
        "from=to,from=to",
        "The word after = in place of the one before it; any other value is left as it is.",
        "{result|map:pending=2,approved=1,rejected=3}",
        "1",
    ),
    modifier(
        "date",
        "FORMAT[,ZONE]",
        "A time by strftime letters, in an IANA time zone (UTC unless given); what is no time is left as it is.",
        "{now|date:%d.%m.%Y %H:%M,Europe/Prague}",
        "22.11.2026 10:00",
    ),
    modifier("unix", "", "A time in unix seconds; what is no time is left as it is.", "{conversion_at|unix}", "1795336200"),
    modifier(
        "unixms",
        "",
        "A time in unix milliseconds; what is no time is left as it is.",
        "{event_at|unixms}",
        "1795337999120",
    ),
    modifier(
        "number",
        "DIGITS",
        "Rounded to 0 to 18 decimal places, halves away from zero; what is no number is left as it is.",
        "{value|number:1}",
        "100.0",
    ),
    modifier(
        "cents",
        "",
        "Hundredths as a whole number, halves away from zero; what is no number is left as it is.",
        "{payout|cents}",
        "500",
    ),
    modifier("lower", "", "Lower case.", "{currency|lower}", "eur"),
    modifier("upper", "", "Upper case.", "{source|upper}", "LINK"),
    modifier("trim", "", "Without white space at both ends.", "{query.name|trim}", "Jana"),
    modifier("urlencode", "", "Percent-encoded, over and above what its place asks for.", "{offer_name|urlencode}", "Loan%20CZ"),
    modifier("urldecode", "", "Percent-decoded.", "{query.back|urldecode}", "/cart?id=5"),
    modifier("base64", "", "In standard base64 with padding.", "{pcid|base64}", "cGMtMQ=="),
    modifier(
        "base64decode",
        "",
        "Out of base64, standard or URL-safe; what is no base64 of a text is left as it is.",
        "{query.blob|base64decode}",
        "hello",
    ),
    modifier("md5", "", "MD5 in lower-case hex.", "{query.email|lower|md5}", "72a260659221777ab90aa31cf1b192af"),
    modifier("sha1", "", "SHA-1 in lower-case hex.", "{query.email|lower|sha1}", "60469aa720a29df4813e81312f19c0c2444a135b"),
    modifier(
        "sha256",
        "",
        "SHA-256 in lower-case hex.",
        "{query.email|trim|lower|omit_if_empty|sha256}",
        "c1e2daab39a7a79b7c56ab6d7eb89a4efab5612fb9b427060a9d87d67843ba6b",
    ),
    modifier(
        "hmac_sha256",
        "SECRETNAME",
        "HMAC-SHA256 in lower-case hex, keyed with a secret of the rule; empty while the secret has no value.",
        "{transaction_id|hmac_sha256:key}",
        "47a781092fd60693f96233d552fff99092f37c046c158869c74865ab1b88a5c1",
    ),
    modifier("replace", "from,to", "Every from becomes to.", "{value|replace:.,\\,}", "100,00"),
    modifier(
        "regex",
        "/from/to/",
        "Every match of the regular expression becomes to, where $1 or ${name} is a group.",
        "{pcid|regex:/^pc-(.*)$/$1/}",
        "1",
    ),
    modifier("prefix", "x", "x in front.", "{pcid|prefix:p-}", "p-pc-1"),
    modifier("suffix", "x", "x behind.", "{value|suffix: EUR}", "100.00 EUR"),
    modifier(
        "raw",
        "",
        "Without percent-encoding, except of characters that no URL may hold, and of #.",
        "{query.path|raw}",
        "a/b",
    ),
    modifier(
        "omit_if_empty",
        "",
        "Drops the whole query entry, header or body field if the value is empty at this point.",
        "{query.coupon|omit_if_empty}",
        "",
    ),
];
