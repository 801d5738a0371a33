//! The body of a response as text in UTF-8: inflated, and decoded by its charset, the escapes of a form included.
//!
//! **At most [`MAX_RESPONSE_BYTES`] of a body are inflated**: a longer body is cut, as if it had been received cut.

use std::io::Read;

use encoding_rs::{Encoding, UTF_8, UTF_16BE, UTF_16LE};
use flate2::{
    bufread::GzDecoder,
    read::{DeflateDecoder, MultiGzDecoder, ZlibDecoder},
};
use percent_encoding::percent_decode_str;
use tracking_core::answer::{Cut, Response};
use url::form_urlencoded::byte_serialize;

use crate::sender::MAX_RESPONSE_BYTES;

/// The most content encodings of a body that are undone.
const MAX_CODINGS: usize = 3;
/// The bytes at the beginning of an XML body in which its declaration is looked for.
const DECLARATION_BYTES: usize = 128;

/// The answer with its body decoded. A body that does not match its headers stays as it came.
pub(super) fn decoded(answer: Response) -> Response {
    let answer = inflated(answer);
    let bytes = answer.body();
    let encoding = Encoding::for_bom(bytes).map(|(encoding, _)| encoding).or_else(|| charset(&answer)).unwrap_or(UTF_8);
    // Without a byte order mark UTF-16 is big-endian, unless its first bytes show otherwise.
    let encoding = if encoding == UTF_16LE && matches!(bytes, [0, first, ..] if *first != 0) { UTF_16BE } else { encoding };
    if encoding == UTF_8 {
        return answer;
    }
    let (text, ..) = encoding.decode(bytes);
    let text = text.into_owned();
    let answer = answer.with_body(text.into_bytes());
    if !encoding.is_ascii_compatible() || !answer.is_form() {
        return answer;
    }
    let recoded = recoded(&String::from_utf8_lossy(answer.body()), encoding);
    answer.with_body(recoded.into_bytes())
}

/// A form in UTF-8 whose escapes are bytes of this encoding, with escapes of UTF-8 in their place. Names and values without such
/// an escape stay as they came.
fn recoded(form: &str, encoding: &'static Encoding) -> String {
    let parts = form.split_inclusive(['&', '=']).map(|part| {
        let (text, end) = part.split_at(part.trim_end_matches(['&', '=']).len());
        if !has_foreign_escape(text) {
            return part.to_owned();
        }
        byte_serialize(unescaped(text, encoding).as_bytes()).chain([end]).collect()
    });
    parts.collect()
}

/// Returns true if an escape is a byte beyond ASCII.
fn has_foreign_escape(text: &str) -> bool {
    text.as_bytes()
        .windows(3)
        .any(|three| three[0] == b'%' && b"89abcdefABCDEF".contains(&three[1]) && three[2].is_ascii_hexdigit())
}

/// A name or a value of a form, unescaped. Its bytes beyond ASCII that are not escaped are UTF-8.
fn unescaped(text: &str, encoding: &'static Encoding) -> String {
    let spaced = text.replace('+', " ");
    let mut whole = String::new();
    for run in spaced.split_inclusive(|c: char| !c.is_ascii()) {
        let (ascii, rest) = run.split_at(run.trim_end_matches(|c: char| !c.is_ascii()).len());
        let bytes: Vec<u8> = percent_decode_str(ascii).collect();
        whole.push_str(&encoding.decode_without_bom_handling(&bytes).0);
        whole.push_str(rest);
    }
    whole
}

/// The answer without its content encodings, the last of which is undone first.
fn inflated(mut answer: Response) -> Response {
    let named = answer.headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("content-encoding"));
    let codings = named.map(|(_, value)| value.to_ascii_lowercase()).collect::<Vec<_>>().join(",");
    for coding in codings.rsplit(',').map(str::trim).filter(|coding| !matches!(*coding, "" | "identity")).take(MAX_CODINGS) {
        let body = answer.body();
        let inflated = match coding {
            "gzip" | "x-gzip" => read(MultiGzDecoder::new(body), answer.is_cut()).or_else(|| first_member(body)),
            // Some servers send the stream without the wrapping that the name requires.
            "deflate" => {
                read(ZlibDecoder::new(body), answer.is_cut()).or_else(|| read(DeflateDecoder::new(body), answer.is_cut()))
            }
            _ => None,
        };
        answer = match inflated {
            Some((body, true)) => answer.with_body(body).cut(Cut::TooLong),
            Some((body, false)) => answer.with_body(body),
            // The body is plain text although its header says otherwise.
            None if answer.is_cut() || std::str::from_utf8(body).is_ok() => answer,
            None => return answer.cut(Cut::Encoded),
        };
    }
    answer
}

/// The output of a gzip stream that is followed by something else than a further one, such as the end of a line.
fn first_member(body: &[u8]) -> Option<(Vec<u8>, bool)> {
    let mut stream = GzDecoder::new(body);
    let whole = read(&mut stream, false)?;
    (!stream.into_inner().starts_with(b"\x1f\x8b")).then_some(whole)
}

/// The output of a stream; `true` beside it if there is more than may be read; `None` if the stream is broken. If `is_cut`, the beginning
/// counts.
fn read(stream: impl Read, is_cut: bool) -> Option<(Vec<u8>, bool)> {
    let mut body = Vec::new();
    let limit = u64::try_from(MAX_RESPONSE_BYTES).unwrap_or(u64::MAX).saturating_add(1);
    let is_broken = stream.take(limit).read_to_end(&mut body).is_err();
    if is_broken && (!is_cut || body.is_empty()) {
        return None;
    }
    let is_longer = body.len() > MAX_RESPONSE_BYTES;
    body.truncate(MAX_RESPONSE_BYTES);
    Some((body, is_longer))
}

/// The charset that the content type names, or else the declaration of an XML body.
fn charset(answer: &Response) -> Option<&'static Encoding> {
    let parameters = answer.header("content-type").unwrap_or_default().split(';').skip(1);
    let mut charsets = parameters.filter_map(|parameter| {
        let (name, value) = parameter.split_once('=')?;
        name.trim().eq_ignore_ascii_case("charset").then(|| value.trim().trim_matches('"'))
    });
    match charsets.next() {
        Some(label) => Encoding::for_label(label.as_bytes()),
        None => declared(answer.body()),
    }
}

/// The encoding that the declaration of an XML body names, or shows by being UTF-16 itself. A declaration in ASCII is not in UTF-16,
/// whatever it says.
fn declared(body: &[u8]) -> Option<&'static Encoding> {
    match body {
        [b'<', 0, b'?', 0, ..] => return Some(UTF_16LE),
        [0, b'<', 0, b'?', ..] => return Some(UTF_16BE),
        _ => {}
    }
    let body = body.trim_ascii_start();
    let beginning = &body[..body.len().min(DECLARATION_BYTES)];
    let (declaration, _) = std::str::from_utf8(beginning.split(|byte| !byte.is_ascii()).next()?).ok()?.split_once("?>")?;
    let attributes = declaration.strip_prefix("<?xml").filter(|rest| rest.starts_with(|c: char| c.is_ascii_whitespace()))?;
    let (_, value) = attributes.split_once("encoding")?;
    let value = value.trim_start().strip_prefix('=')?.trim_start();
    let label = value.get(1..)?.split(['"', '\'']).next()?;
    Encoding::for_label(label.as_bytes()).filter(|encoding| encoding.is_ascii_compatible())
}

#[cfg(test)]
mod tests {
    use std::{collections::BTreeMap, io::Write};

    use flate2::{
        Compression,
        write::{DeflateEncoder, GzEncoder, ZlibEncoder},
    };

    use super::*;
    use crate::{
        delivery::render::masked,
        secrets::{Scrubber, Texts},
    };

    const TEXT: &str = r#"{"status":"čeká","note":"žluťoučký"}"#;

    fn answer(headers: &[(&str, &str)], body: Vec<u8>) -> Response {
        let headers = headers.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect();
        decoded(Response::new(200, headers, body))
    }

    #[track_caller]
    fn check(headers: &[(&str, &str)], body: Vec<u8>, expected: &str) {
        assert_eq!(String::from_utf8_lossy(answer(headers, body).body()), expected, "{headers:?}");
    }

    fn utf16(text: &str, big_endian: bool) -> Vec<u8> {
        text.encode_utf16().flat_map(|unit| if big_endian { unit.to_be_bytes() } else { unit.to_le_bytes() }).collect()
    }

    fn gzip(body: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(body).unwrap();
        encoder.finish().unwrap()
    }

    #[test]
    fn case_a6_a_body_is_decoded_by_its_charset_or_its_byte_order_mark() {
        let json = |charset: &str| format!("application/json; charset={charset}");
        check(&[("Content-Type", &json("utf-16le"))], utf16(TEXT, false), TEXT);
        check(&[("Content-Type", &json("UTF-16BE"))], utf16(TEXT, true), TEXT);
        check(&[], utf16(&format!("\u{feff}{TEXT}"), false), TEXT);
        check(&[("content-type", &json("iso-8859-1"))], utf16(&format!("\u{feff}{TEXT}"), true), TEXT);
        check(&[("content-type", &json("\"ISO-8859-1\""))], b"{\"name\":\"Jos\xe9\"}".to_vec(), "{\"name\":\"José\"}");
        check(&[("content-type", "text/plain; boundary=x; Charset=windows-1250")], b"\x9elu\x9d".to_vec(), "žluť");
        check(&[("content-type", &json("utf-8"))], TEXT.as_bytes().to_vec(), TEXT);
        check(&[("content-type", &json("no-such-thing"))], TEXT.as_bytes().to_vec(), TEXT);
        check(
            &[("content-type", "text/xml")],
            b"<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>\xe9</a>".to_vec(),
            "<?xml version=\"1.0\" encoding=\"ISO-8859-1\"?><a>é</a>",
        );
    }

    #[test]
    fn case_a2_a_declaration_of_xml_names_its_encoding_in_any_form() {
        let field = |body: Vec<u8>| answer(&[("content-type", "text/xml")], body).field(&"a.b".parse().unwrap());
        for head in [
            "<?xml version=\"1.0\" encoding=\"iso-8859-2\"?>",
            "<?xml version=\"1.0\" encoding = 'iso-8859-2' ?>",
            "<?xml\nversion=\"1.0\"\nencoding=\"iso-8859-2\"?>",
            "\r\n<?xml version=\"1.0\" encoding=\"iso-8859-2\"?>",
        ] {
            let body = [head.as_bytes(), b"<a><b>\xbe</b></a>"].concat();
            assert_eq!(field(body).as_deref(), Some("ž"), "{head}");
        }
        let text = "<?xml version=\"1.0\" encoding=\"UTF-16\"?><a><b>žlu</b></a>";
        for body in [utf16(text, false), utf16(text, true), text.as_bytes().to_vec()] {
            assert_eq!(field(body.clone()).as_deref(), Some("žlu"), "{body:?}");
        }
    }

    #[test]
    fn case_a6_escapes_of_a_form_are_of_its_charset() {
        let form = |charset: &str| format!("application/x-www-form-urlencoded; charset={charset}");
        let name = |content_type: &str, body: &[u8]| {
            let answer = answer(&[("Content-Type", content_type)], body.to_vec());
            answer.field(&"name".parse().unwrap())
        };
        for (charset, body, expected) in [
            ("iso-8859-1", &b"status=ok&name=Jos%E9"[..], "José"),
            ("ISO-8859-1", b"name=Jos%e9+%26+Zo%EB%3d1&x", "José & Zoë=1"),
            ("windows-1250", b"name=%9Elu%9D", "žluť"),
            ("windows-1252", b"name=%80\xe9%E9", "€éé"),
            ("shift_jis", b"name=%83A%83%5C", "アソ"),
            ("utf-8", b"name=Jos%C3%A9", "José"),
            ("no-such-thing", b"name=Jos%C3%A9", "José"),
            ("iso-8859-1", b"name=Jos%25E9%zz%E", "Jos%E9%zz%E"),
        ] {
            assert_eq!(name(&form(charset), body).as_deref(), Some(expected), "{charset} {}", String::from_utf8_lossy(body));
        }
        assert_eq!(name("text/html; charset=iso-8859-1", b"ok=1&name=Jos%E9").as_deref(), Some("José"), "a form by its look");
        check(&[("content-type", "application/json; charset=iso-8859-1")], b"{\"a\":\"%E9\"}".to_vec(), "{\"a\":\"%E9\"}");
        check(&[("content-type", &form("iso-8859-1"))], b"%E9=1&b=%41+c\xe9".to_vec(), "%C3%A9=1&b=%41+cé");
    }

    #[test]
    fn case_a6_a_body_is_inflated_unasked() {
        let mut zlib = ZlibEncoder::new(Vec::new(), Compression::best());
        zlib.write_all(TEXT.as_bytes()).unwrap();
        let mut raw = DeflateEncoder::new(Vec::new(), Compression::best());
        raw.write_all(TEXT.as_bytes()).unwrap();
        check(&[("Content-Encoding", "GZIP")], gzip(TEXT.as_bytes()), TEXT);
        check(&[("content-encoding", "deflate")], zlib.finish().unwrap(), TEXT);
        check(&[("content-encoding", "deflate")], raw.finish().unwrap(), TEXT);
        check(&[("content-encoding", "gzip"), ("content-type", "a/b; charset=utf-16le")], gzip(&utf16(TEXT, false)), TEXT);
        for untrue in ["gzip", "deflate", "br", "identity"] {
            check(&[("content-encoding", untrue)], TEXT.as_bytes().to_vec(), TEXT);
        }
    }

    #[test]
    fn case_a6_secrets_are_masked_in_what_was_decoded() {
        let secrets = BTreeMap::from([("token", "s3cr3t-token-ž")]);
        let scrubber = Scrubber::new(&Texts { secrets, ..Texts::default() });
        let echo = "{\"echo\":\"s3cr3t-token-ž\"}";
        for (name, value, body) in [
            ("content-type", "application/json; charset=utf-16be", utf16(echo, true)),
            ("content-encoding", "gzip", gzip(echo.as_bytes())),
        ] {
            let sent = Ok(Response::new(200, vec![(name.to_owned(), value.to_owned())], body));
            let masked = masked(sent, &scrubber).unwrap();
            assert_eq!(String::from_utf8_lossy(masked.body()), "{\"echo\":\"***\"}", "{value}");
        }
    }

    #[test]
    fn case_a6_a_small_body_that_inflates_without_end_is_cut() {
        let bomb = gzip(&vec![b' '; 64 << 20]);
        assert!(bomb.len() < 1 << 20);
        let cut = answer(&[("content-encoding", "gzip")], bomb);
        assert_eq!((cut.body().len(), cut.is_cut()), (1 << 20, true));
        let whole = answer(&[("content-encoding", "gzip")], gzip(&vec![b' '; 1 << 20]));
        assert_eq!((whole.body().len(), whole.is_cut()), (1 << 20, false));
    }

    #[test]
    fn case_a6_what_can_t_be_undone_is_known_as_such_and_several_encodings_are_undone() {
        let whole = gzip(TEXT.repeat(100).as_bytes());
        let broken = &whole[..whole.len() - 12];
        for (coding, body) in [("gzip", broken), ("br", &whole[..]), ("gzip, zstd", &whole), ("deflate", &whole)] {
            let answer = answer(&[("content-encoding", coding)], body.to_vec());
            assert_eq!((answer.why_cut(), answer.body()), (Some(Cut::Encoded), body), "{coding}");
        }
        check(&[("content-encoding", "gzip, identity , GZIP")], gzip(&gzip(TEXT.as_bytes())), TEXT);
        check(&[("content-encoding", "gzip"), ("Content-Encoding", "gzip")], gzip(&gzip(TEXT.as_bytes())), TEXT);
        check(&[("content-encoding", "gzip")], [gzip(TEXT.as_bytes()), b"\r\n".to_vec()].concat(), TEXT);
        check(&[("content-encoding", "gzip")], [gzip(b"{\"a\":"), gzip(b"1}")].concat(), "{\"a\":1}");
        check(&[("content-type", "text/plain; charset=utf-16")], utf16(TEXT, true), TEXT);
        check(&[("content-type", "text/plain; charset=utf-16")], utf16(TEXT, false), TEXT);
    }
}
