//! Host names that a rule's URL may have (Q3): those that a resolver can look up.

use url::Host;

/// The longest name, in bytes without the dot at its end (RFC 1035, section 2.3.4).
const MAX_NAME_BYTES: usize = 253;
/// The longest label of a name, in bytes.
const MAX_LABEL_BYTES: usize = 63;

/// Returns the fault of a host, or `None` if it can be the name of a receiver. `written` is the text in the URL,
/// `host` its parsed form: an internationalised name is in its ASCII form.
pub(super) fn fault(written: &str, host: &Host<&str>) -> Option<String> {
    let why = if written.contains('%') {
        "it is percent-encoded".to_owned()
    } else {
        match host {
            Host::Domain(name) => name_fault(name)?,
            Host::Ipv4(_) | Host::Ipv6(_) => return None,
        }
    };
    Some(format!("expected a host name such as api.example.com, got {written:?}: {why}"))
}

/// A name may end with one dot, which marks a complete name.
fn name_fault(name: &str) -> Option<String> {
    let name = name.strip_suffix('.').unwrap_or(name);
    if name.len() > MAX_NAME_BYTES {
        return Some(format!("expected at most {MAX_NAME_BYTES} bytes, got {}", name.len()));
    }
    let labels = name.split('.');
    if labels.clone().next_back().is_some_and(|last| !last.is_empty() && last.bytes().all(|b| b.is_ascii_digit())) {
        return Some("its last part is a number, and it is no IPv4 address".to_owned());
    }
    labels.map(label_fault).find_map(|fault| fault)
}

fn label_fault(label: &str) -> Option<String> {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_');
    if label.is_empty() {
        return Some("a part between dots is empty".to_owned());
    }
    if label.len() > MAX_LABEL_BYTES {
        return Some(format!("expected at most {MAX_LABEL_BYTES} bytes between dots, got {}", label.len()));
    }
    if label.starts_with('-') || label.ends_with('-') {
        return Some(format!("the part {label:?} begins or ends with a hyphen"));
    }
    (!label.bytes().all(allowed)).then(|| format!("the part {label:?} holds more than letters, digits, - and _"))
}

#[cfg(test)]
mod tests {
    use url::Url;

    use super::*;

    #[track_caller]
    fn check(written: &str, expected: Option<&str>) {
        let url = Url::parse(&format!("https://{written}/")).unwrap();
        let why = fault(written, &url.host().unwrap());
        let begins = format!("expected a host name such as api.example.com, got {written:?}: ");
        assert_eq!(why.as_deref().map(|why| why.strip_prefix(&begins).unwrap()), expected, "{written}");
    }

    #[test]
    fn f13_hosts_that_no_resolver_can_be_asked_for_are_refused() {
        let empty = Some("a part between dots is empty");
        for host in [".", "..", "a..", "a..b", ".a", ".a.example", "a.example..", "a。。b"] {
            check(host, empty);
        }
        check("-", Some("the part \"-\" begins or ends with a hyphen"));
        check("-a.example", Some("the part \"-a\" begins or ends with a hyphen"));
        check("a-.example", Some("the part \"a-\" begins or ends with a hyphen"));
        check("a.example-.", Some("the part \"example-\" begins or ends with a hyphen"));
        check("a*b.example", Some("the part \"a*b\" holds more than letters, digits, - and _"));
        check("ex%61mple.com", Some("it is percent-encoded"));
        check("%31.1.1.1", Some("it is percent-encoded"));
        check(&format!("{}.example", "a".repeat(64)), Some("expected at most 63 bytes between dots, got 64"));
        check(&format!("{}ab", "abcdefg.".repeat(32)), Some("expected at most 253 bytes, got 258"));
    }

    #[test]
    fn f13_names_that_resolvers_know_are_taken() {
        for host in
            ["a", "example.com", "example.com.", "a-b.example", "a--b.example", "_dmarc.a_b.example", "7.example", "8.8.8.8"]
        {
            check(host, None);
        }
        check("[2606:4700::1111]", None);
        check("bücher.example", None);
        check("xn--bcher-kva.example", None);
        check(&format!("{}.example", "a".repeat(63)), None);
        check(&format!("{}abcde", "abcdefg.".repeat(31)), None);
    }

    #[test]
    fn f13_a_number_at_the_end_is_part_of_an_ipv4_address() {
        assert_eq!(name_fault("a.1").as_deref(), Some("its last part is a number, and it is no IPv4 address"));
        assert_eq!(name_fault("a.1.").as_deref(), Some("its last part is a number, and it is no IPv4 address"));
    }
}
