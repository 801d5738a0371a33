//! The template, as it is written and as SAM translates it, and functions that read it.

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    process::Stdio,
    sync::LazyLock,
};

use serde_json::{Map, Value, json};
use tracking_tests::tools;

/// The template's two files.
pub(crate) const FILES: [&str; 2] = ["template.yaml", "infra/watch.yaml"];

/// The texts of [`FILES`].
pub(crate) type Texts = [String; 2];

/// A stack that could be deployed.
#[derive(Debug, Clone)]
pub(crate) struct Stack {
    /// `template.yaml` as it is written.
    pub(crate) source: Value,
    /// `template.yaml` as SAM translates it.
    pub(crate) main: Value,
    /// `infra/watch.yaml`.
    pub(crate) watch: Value,
}

impl Stack {
    /// Returns the resources of a type, by their names.
    pub(crate) fn of<'a>(&'a self, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
        of(&self.main, kind)
    }

    /// Returns a resource's properties; null if there is no such resource.
    pub(crate) fn properties(&self, name: &str) -> &Value {
        &self.main["Resources"][name]["Properties"]
    }
}

/// Returns the resources of a type in a template, by their names: each with its properties.
pub(crate) fn of<'a>(template: &'a Value, kind: &'a str) -> impl Iterator<Item = (&'a str, &'a Value)> {
    let all = template["Resources"].as_object().into_iter().flatten();
    all.filter(move |(_, resource)| resource["Type"] == kind).map(|(name, resource)| (name.as_str(), &resource["Properties"]))
}

/// Returns the JSON of `!Ref`.
pub(crate) fn reference(name: &str) -> Value {
    json!({"Ref": name})
}

/// Returns the JSON of `!GetAtt`.
pub(crate) fn attribute(name: &str, attribute: &str) -> Value {
    json!({"Fn::GetAtt": [name, attribute]})
}

/// Returns one value or a list of them as a slice.
pub(crate) fn listed(value: &Value) -> &[Value] {
    match value {
        Value::Array(values) => values,
        Value::Null => &[],
        one => std::slice::from_ref(one),
    }
}

/// Returns the workspace's folder.
pub(crate) fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("this package is in the workspace's folder").to_owned()
}

/// Returns a file of the workspace.
pub(crate) fn text(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|fault| panic!("{path}: {fault}"))
}

/// Returns all Rust code below a folder of the workspace.
pub(crate) fn code(folder: &str) -> String {
    let mut folders = vec![root().join(folder)];
    let mut code = String::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap().map(Result::unwrap) {
            let path = entry.path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|kind| kind == "rs") {
                code.push_str(&fs::read_to_string(path).unwrap());
            }
        }
    }
    assert!(!code.is_empty(), "there is no code");
    code
}

/// Returns the template's files as they are.
pub(crate) fn texts() -> Texts {
    FILES.map(text)
}

/// Returns the template as it is.
pub(crate) fn stack() -> &'static Stack {
    static STACK: LazyLock<Stack> = LazyLock::new(|| translate(&[texts()]).remove(0).unwrap_or_else(|fault| panic!("{fault}")));
    &STACK
}

/// Translates stacks as `sam validate` does, all in one process, each text once. Returns the fault of a refused one.
pub(crate) fn translate(stacks: &[Texts]) -> Vec<Result<Stack, String>> {
    let mut texts: Vec<&String> = stacks.iter().flatten().collect();
    texts.sort_unstable();
    texts.dedup();
    let place = |text: &String| texts.binary_search(&text).expect("it is one of them").to_string();
    let wanted: Map<String, Value> = texts.iter().map(|text| (place(text), text.as_str().into())).collect();
    let output = python("templates.py", &json!({"translate": wanted}));
    let part = |file: usize, texts: &Texts| match &output["translate"][place(&texts[file])] {
        Value::Object(read) if read.contains_key("translated") => Ok(read.clone()),
        refused => Err(format!("{}: {}", FILES[file], refused["fault"].as_str().expect("it has a fault"))),
    };
    let whole = |texts: &Texts| {
        let (main, watch) = (part(0, texts)?, part(1, texts)?);
        Ok(Stack { source: main["template"].clone(), main: main["translated"].clone(), watch: watch["template"].clone() })
    };
    stacks.iter().map(whole).collect()
}

/// Returns a translated template as it is deployed: the nested one is uploaded before.
pub(crate) fn packaged(main: &Value) -> String {
    let mut main = main.clone();
    if let Some(url) = main.pointer_mut("/Resources/Watch/Properties/TemplateURL") {
        *url = "https://packages.s3.amazonaws.com/watch.yaml".into();
    }
    main.to_string()
}

/// Returns cfn-lint's errors and warnings on texts, by their names.
pub(crate) fn lint(texts: &BTreeMap<String, String>) -> BTreeMap<String, Vec<String>> {
    let output = python("templates.py", &json!({"lint": texts}));
    serde_json::from_value(output["lint"].clone()).expect("it has lists of texts")
}

/// Runs one of our scripts with the tools' Python, JSON in, JSON out.
pub(crate) fn python(script: &str, wanted: &Value) -> Value {
    let mut command = tools::command(tools::sam(), "python");
    command.arg(root().join("tests/tools").join(script));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let input = wanted.to_string();
    let mut stdin = child.stdin.take().expect("it is piped");
    let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
    let done = child.wait_with_output().unwrap();
    assert!(done.status.success(), "{script}: {}", String::from_utf8_lossy(&done.stderr));
    writer.join().expect("it does not panic").expect("the script reads all that it is given");
    serde_json::from_slice(&done.stdout).expect("the script writes JSON")
}
