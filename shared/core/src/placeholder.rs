//! The form of placeholders: parts of a text that its author must replace, such as `YOUR-DOMAIN`.

/// The beginnings of placeholders. [`crate::presets`] use the first.
const BEGINNINGS: [&str; 2] = ["YOUR-", "YOUR_"];

/// The placeholders in a text, each once.
pub(crate) fn find(text: &str) -> Vec<&str> {
    let mut found: Vec<&str> = Vec::new();
    let mut at = 0;
    while let Some(start) = BEGINNINGS.iter().filter_map(|beginning| text[at..].find(beginning)).min().map(|start| at + start) {
        let rest = &text[start..];
        let is_name = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit() || c == '-' || c == '_';
        let placeholder = &rest[..rest.find(|c| !is_name(c)).unwrap_or(rest.len())];
        // `GET-YOUR-LOAN` and `forYOUR_` are no placeholders.
        let stands_alone = !text[..start].ends_with(|c: char| c.is_alphanumeric() || c == '-' || c == '_');
        if stands_alone && placeholder.len() > BEGINNINGS[0].len() && !found.contains(&placeholder) {
            found.push(placeholder);
        }
        at = start + placeholder.len();
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(text: &str, expected: &[&str]) {
        assert_eq!(find(text), expected, "{text}");
    }

    #[test]
    fn case_d3_a_placeholder_is_a_word_of_its_own_in_capitals() {
        check("https://YOUR-DOMAIN.example/p?n=YOUR-NETWORK-ID&t=YOUR_TOKEN", &["YOUR-DOMAIN", "YOUR-NETWORK-ID", "YOUR_TOKEN"]);
        check("<YOUR_API_KEY>", &["YOUR_API_KEY"]);
        check("YOUR-ID and YOUR-ID2 and YOUR-ID", &["YOUR-ID", "YOUR-ID2"]);
        check("https://a.example/?utm=GET-YOUR-LOAN&x=YOUR- YOUR_&y=your-domain", &[]);
        check("žYOUR-DOMAIN", &[]);
    }
}
