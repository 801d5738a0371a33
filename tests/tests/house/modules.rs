//! The modules of a crate: no cycles among them, no type with too many methods, and no function longer than a page.

use std::{
    collections::{BTreeMap, BTreeSet},
    ops::ControlFlow,
};

use proc_macro2::{Delimiter, TokenStream, TokenTree};
use quote::ToTokens as _;
use syn::{
    Attribute, Block, ImplItem, ImplItemFn, Item, ItemFn, Type, UseTree,
    visit::{Visit, visit_impl_item_fn, visit_item_fn},
};

use crate::{File, files_ending, none};

/// The most methods of a type.
const MOST_METHODS: usize = 40;

/// The most lines of a function, its head among them.
const MOST_LINES: usize = 60;

/// The search for functions of a file that are too long.
struct Long<'a> {
    path: &'a str,
    faults: Vec<String>,
}

impl Long<'_> {
    fn look_at(&mut self, name: &syn::Ident, block: &Block) {
        let (first, last) = (name.span().start().line, block.brace_token.span.close().end().line);
        let lines = last + 1 - first;
        if lines > MOST_LINES {
            self.faults.push(format!("{}:{first}: {name} has {lines} lines; {MOST_LINES} are allowed", self.path));
        }
    }
}

impl<'ast> Visit<'ast> for Long<'_> {
    fn visit_item_fn(&mut self, function: &'ast ItemFn) {
        self.look_at(&function.sig.ident, &function.block);
        visit_item_fn(self, function);
    }

    fn visit_impl_item_fn(&mut self, function: &'ast ImplItemFn) {
        self.look_at(&function.sig.ident, &function.block);
        visit_impl_item_fn(self, function);
    }
}

/// Folders with known cycles that are still to be removed: texts, macros, conditions and answers of core.
const KNOWN_CYCLES: [&str; 2] = ["shared/core/src/", "shared/core/src/when"];

/// The place of a module in its crate.
type Module = Vec<String>;

/// The modules of one crate, each with the paths that it names.
#[derive(Default)]
struct Crate {
    modules: BTreeMap<Module, BTreeSet<Vec<String>>>,
}

impl Crate {
    /// Returns the module that a path leads into.
    fn target(&self, path: &[String]) -> Module {
        let within = (0..=path.len()).rev().map(|length| path[..length].to_vec());
        within.into_iter().find(|prefix| self.modules.contains_key(prefix)).unwrap_or_default()
    }

    /// Returns the modules beside a module that it uses, by the module that holds both.
    fn arrows(&self) -> BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> {
        let mut arrows: BTreeMap<Module, BTreeMap<String, BTreeSet<String>>> = BTreeMap::new();
        for (module, paths) in &self.modules {
            for target in paths.iter().map(|path| self.target(path)) {
                let shared = module.iter().zip(&target).take_while(|(one, other)| one == other).count();
                if let (Some(from), Some(to)) = (module.get(shared), target.get(shared)) {
                    arrows.entry(module[..shared].to_vec()).or_default().entry(from.clone()).or_default().insert(to.clone());
                }
            }
        }
        arrows
    }
}

/// Returns a path that begins and ends at the same module, if there is one.
fn cycle(arrows: &BTreeMap<String, BTreeSet<String>>) -> Option<Vec<String>> {
    fn walk(
        at: &str,
        way: &mut Vec<String>,
        done: &mut BTreeSet<String>,
        arrows: &BTreeMap<String, BTreeSet<String>>,
    ) -> ControlFlow<()> {
        if let Some(begin) = way.iter().position(|module| module == at) {
            way.drain(..begin);
            way.push(at.to_owned());
            return ControlFlow::Break(());
        }
        if !done.insert(at.to_owned()) {
            return ControlFlow::Continue(());
        }
        way.push(at.to_owned());
        for next in arrows.get(at).into_iter().flatten() {
            walk(next, way, done, arrows)?;
        }
        way.pop();
        ControlFlow::Continue(())
    }
    let (mut way, mut done) = (Vec::new(), BTreeSet::new());
    arrows.keys().any(|module| walk(module, &mut way, &mut done, arrows).is_break()).then_some(way)
}

/// Returns the folder of the crate that a source file belongs to, and its module there.
fn place(file: &File) -> Option<(String, Module)> {
    let (folder, inside) = file.path.split_once("/src/")?;
    if inside.starts_with("bin/") || folder.starts_with("tests") {
        return None;
    }
    let mut module: Module = inside.strip_suffix(".rs")?.split('/').map(ToOwned::to_owned).collect();
    if matches!(module.last().map(String::as_str), Some("mod" | "lib" | "main")) {
        module.pop();
    }
    (!module.iter().any(|part| part == "tests")).then(|| (folder.to_owned(), module))
}

fn is_test(attributes: &[Attribute]) -> bool {
    attributes.iter().any(|attribute| attribute.to_token_stream().to_string().contains("cfg (test)"))
}

/// Adds the paths that a `use` names.
fn used(tree: &UseTree, before: &[String], paths: &mut Vec<Vec<String>>) {
    let with = |name: &dyn ToString| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
    match tree {
        UseTree::Path(path) => used(&path.tree, &with(&path.ident), paths),
        UseTree::Group(group) => group.items.iter().for_each(|tree| used(tree, before, paths)),
        UseTree::Name(name) => paths.push(with(&name.ident)),
        UseTree::Rename(rename) => paths.push(with(&rename.ident)),
        UseTree::Glob(_) => paths.push(before.to_vec()),
    }
}

/// Adds the paths that other code names: `crate::a::b`, `super::c`.
fn named(tokens: TokenStream, paths: &mut Vec<Vec<String>>) {
    let mut path: Vec<String> = Vec::new();
    for token in tokens {
        match token {
            TokenTree::Group(group) => {
                // `crate::{…}` occurs in `use` alone.
                paths.push(std::mem::take(&mut path));
                if group.delimiter() != Delimiter::None || !group.stream().is_empty() {
                    named(group.stream(), paths);
                }
            }
            TokenTree::Ident(name) => path.push(name.to_string()),
            TokenTree::Punct(punct) if punct.as_char() == ':' => {}
            TokenTree::Punct(_) | TokenTree::Literal(_) => paths.push(std::mem::take(&mut path)),
        }
    }
    paths.push(path);
}

/// Returns the path from the crate's root on, if it begins in this crate.
fn resolved(module: &Module, path: Vec<String>) -> Option<Vec<String>> {
    let begin = path.iter().position(|part| part == "crate" || part == "super")?;
    let mut at = if path[begin] == "crate" { Module::new() } else { module.clone() };
    let mut rest = path.into_iter().skip(begin);
    for part in rest.by_ref() {
        match part.as_str() {
            "crate" => {}
            "super" => _ = at.pop(),
            _ => {
                at.push(part);
                break;
            }
        }
    }
    at.extend(rest);
    Some(at)
}

/// Reads the crates' sources. Returns the paths that each module names, and the number of methods of each type.
fn crates() -> (BTreeMap<String, Crate>, BTreeMap<String, usize>) {
    let mut crates: BTreeMap<String, Crate> = BTreeMap::new();
    let mut methods: BTreeMap<String, usize> = BTreeMap::new();
    for file in files_ending(".rs") {
        let Some((folder, module)) = place(&file) else { continue };
        let parsed = syn::parse_file(&file.text).expect("the sources compile");
        let mut paths = Vec::new();
        for item in parsed.items {
            match item {
                Item::Mod(inner) if is_test(&inner.attrs) => {}
                Item::Use(item) if !is_test(&item.attrs) => {
                    let mut own = Vec::new();
                    used(&item.tree, &[], &mut own);
                    // A `use` of a module below needs no `self`.
                    paths.extend(own.into_iter().map(|path| match path.first().map(String::as_str) {
                        Some("crate" | "super") => path,
                        _ => Vec::new(),
                    }));
                }
                item => {
                    if let Item::Impl(block) = &item
                        && block.trait_.is_none()
                        && let Type::Path(name) = &*block.self_ty
                        && let Some(name) = name.path.segments.last()
                    {
                        let count = block.items.iter().filter(|item| matches!(item, ImplItem::Fn(_))).count();
                        let place = format!("{folder} {}::{}", module.first().map_or("", String::as_str), name.ident);
                        *methods.entry(place).or_default() += count;
                    }
                    named(item.to_token_stream(), &mut paths);
                }
            }
        }
        let paths = paths.into_iter().filter_map(|path| resolved(&module, path)).collect();
        crates.entry(folder).or_default().modules.insert(module, paths);
    }
    assert!(crates.contains_key("shared/engine"), "the crates were found");
    (crates, methods)
}

#[test]
fn no_modules_use_each_other_in_a_cycle() {
    let mut faults = Vec::new();
    for (folder, found) in crates().0 {
        for (parent, arrows) in found.arrows() {
            let place = format!("{folder}/src/{}", parent.join("/"));
            if let Some(way) = cycle(&arrows).filter(|_| !KNOWN_CYCLES.contains(&place.as_str())) {
                faults.push(format!("{place}: {}", way.join(" → ")));
            }
        }
    }
    none(&faults);
}

#[test]
fn no_type_has_more_than_forty_methods() {
    let faults: Vec<String> = crates()
        .1
        .into_iter()
        .filter(|(_, count)| *count > MOST_METHODS)
        .map(|(name, count)| format!("{name} has {count} methods"))
        .collect();
    none(&faults);
}

#[test]
fn no_function_is_longer_than_sixty_lines() {
    let mut faults = Vec::new();
    for file in files_ending(".rs") {
        let mut long = Long { path: &file.path, faults: Vec::new() };
        long.visit_file(&syn::parse_file(&file.text).expect("the sources compile"));
        faults.extend(long.faults);
    }
    none(&faults);
}

#[test]
fn a_cycle_is_found() {
    let arrows = |pairs: &[(&str, &str)]| {
        let mut arrows: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for (from, to) in pairs {
            arrows.entry((*from).to_owned()).or_default().insert((*to).to_owned());
        }
        cycle(&arrows).map(|way| way.join(" "))
    };
    assert_eq!(arrows(&[("a", "b"), ("b", "c"), ("a", "c")]), None);
    assert_eq!(arrows(&[("a", "b"), ("b", "c"), ("c", "b")]).as_deref(), Some("b c b"));
    let super_path = ["super", "line", "Ask"].map(ToOwned::to_owned).to_vec();
    assert_eq!(resolved(&vec!["delivery".to_owned(), "claim".to_owned()], super_path).unwrap(), ["delivery", "line", "Ask"]);
}
