//! No import goes round: among the files and rooms of a crate that stand side by side, whoever is imported does not import back.
//!
//! A room is a module with modules in it. Between a room and what is in it imports may go both ways: the room is its face.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
};

/// The path of a module within its crate.
type Module = Vec<String>;

/// Identifiers and signs; no comments, and nothing of literals.
fn tokens(source: &str) -> Vec<String> {
    let mut rest = source;
    let mut tokens = Vec::new();
    while let Some(first) = rest.chars().next() {
        let raw = ["r\"", "r#\"", "r##\""].into_iter().find(|begin| rest.starts_with(begin));
        let (taken, token) = if rest.starts_with("//") {
            (rest.find('\n').unwrap_or(rest.len()), None)
        } else if let Some(begin) = raw {
            let end = format!("\"{}", "#".repeat(begin.len() - 2));
            (begin.len() + rest[begin.len()..].find(&end).unwrap() + end.len(), None)
        } else if first == '"' {
            let mut escaped = false;
            let end = rest[1..].find(|c| {
                let ends = c == '"' && !escaped;
                escaped = c == '\\' && !escaped;
                ends
            });
            (end.unwrap() + 2, None)
        } else if first == '\'' {
            let mut chars = rest.char_indices().skip(1);
            let (_, what) = chars.next().unwrap();
            let next = chars.next().unwrap();
            match (what, next.1) {
                ('\\', _) => (next.0 + 2 + rest[next.0 + 1..].find('\'').unwrap(), None),
                (_, '\'') => (next.0 + 1, None),
                // A lifetime.
                _ => (1, None),
            }
        } else if first.is_alphanumeric() || first == '_' {
            let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(rest.len());
            (end, Some(&rest[..end]))
        } else if rest.starts_with("::") {
            (2, Some("::"))
        } else {
            let end = first.len_utf8();
            (end, (!first.is_whitespace()).then_some(&rest[..end]))
        };
        tokens.extend(token.map(ToOwned::to_owned));
        rest = &rest[taken..];
    }
    tokens
}

/// The tokens without `#[cfg(test)]` modules; the names of those that are files of their own are given apart.
fn without_tests(all: &[String]) -> (Vec<String>, BTreeSet<String>) {
    const CFG: [&str; 7] = ["#", "[", "cfg", "(", "test", ")", "]"];
    let (mut kept, mut files, mut at) = (Vec::new(), BTreeSet::new(), 0);
    while at < all.len() {
        let is_test = all[at..].iter().zip(CFG).filter(|(token, wanted)| token == wanted).count() == CFG.len();
        let module = at + CFG.len();
        if !is_test || all.get(module).is_none_or(|token| token != "mod") {
            kept.push(all[at].clone());
            at += 1;
            continue;
        }
        if all[module + 2] == ";" {
            files.insert(all[module + 1].clone());
            at = module + 3;
            continue;
        }
        let mut depth = 0;
        at = module + 2;
        loop {
            match all[at].as_str() {
                "{" => depth += 1,
                "}" => depth -= 1,
                _ => {}
            }
            at += 1;
            if depth == 0 {
                break;
            }
        }
    }
    (kept, files)
}

/// The paths of one `use`, from behind it on; and where it ends.
fn used(tokens: &[String], mut at: usize, prefix: &[String], paths: &mut Vec<Vec<String>>) -> usize {
    let mut path = prefix.to_vec();
    loop {
        match tokens[at].as_str() {
            "{" => {
                at += 1;
                while tokens[at] != "}" {
                    at = used(tokens, at, &path, paths);
                    if tokens[at] == "," {
                        at += 1;
                    }
                }
                return at + 1;
            }
            "::" => at += 1,
            "as" => at += 2,
            "," | ";" | "}" => {
                paths.push(path);
                return at;
            }
            name => {
                path.push(name.to_owned());
                at += 1;
            }
        }
    }
}

fn paths(tokens: &[String]) -> Vec<Vec<String>> {
    let (mut paths, mut at) = (Vec::new(), 0);
    while at < tokens.len() {
        match tokens[at].as_str() {
            "use" => at = used(tokens, at + 1, &[], &mut paths),
            "crate" | "super" | "self" if tokens.get(at + 1).is_some_and(|token| token == "::") => {
                let mut path = vec![tokens[at].clone()];
                while tokens.get(at + 1).is_some_and(|token| token == "::") {
                    path.push(tokens[at + 2].clone());
                    at += 2;
                }
                paths.push(path);
                at += 1;
            }
            _ => at += 1,
        }
    }
    paths
}

fn files(directory: &Path, module: &[String], found: &mut BTreeMap<Module, PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
        let mut inner = module.to_vec();
        if path.is_dir() {
            inner.push(name);
            files(&path, &inner, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") && !["lib", "main"].contains(&&*name) {
            if name != "mod" {
                inner.push(name);
            }
            found.insert(inner, path);
        }
    }
}

/// What each module imports of its own crate; modules of tests are left out.
fn imports(source: &Path) -> BTreeMap<Module, BTreeSet<Module>> {
    let mut found = BTreeMap::new();
    files(source, &[], &mut found);
    let (mut sources, mut tests) = (BTreeMap::new(), BTreeSet::new());
    let top = ["lib.rs", "main.rs"].map(|name| (Module::new(), source.join(name)));
    for (module, path) in found.iter().map(|(module, path)| (module.clone(), path.clone())).chain(top) {
        let Ok(text) = fs::read_to_string(&path) else { continue };
        let (tokens, test_files) = without_tests(&tokens(&text));
        tests.extend(test_files.into_iter().map(|name| [module.clone(), vec![name]].concat()));
        if !module.is_empty() {
            sources.insert(module, tokens);
        }
    }
    sources.retain(|module, _| !tests.iter().any(|test| module.starts_with(test)));
    let mut imports = BTreeMap::new();
    for (module, tokens) in &sources {
        let of: BTreeSet<Module> = paths(tokens)
            .into_iter()
            .filter_map(|path| {
                let supers = path.iter().take_while(|name| *name == "super").count();
                let mut target = match path[0].as_str() {
                    "crate" => path[1..].to_vec(),
                    "super" => [&module[..module.len().checked_sub(supers)?], &path[supers..]].concat(),
                    "self" => [&module[..], &path[1..]].concat(),
                    _ => [&module[..], &path[..]].concat(),
                };
                while !target.is_empty() && !sources.contains_key(&target) {
                    target.pop();
                }
                (!target.is_empty() && target != *module).then_some(target)
            })
            .collect();
        imports.insert(module.clone(), of);
    }
    imports
}

/// A way from `from` back to itself, if there is one.
fn circle<'a>(edges: &'a BTreeMap<Module, BTreeSet<Module>>, from: &'a Module) -> Option<Vec<&'a Module>> {
    let mut ways: Vec<Vec<&Module>> = vec![vec![from]];
    let mut seen = BTreeSet::new();
    while let Some(way) = ways.pop() {
        for next in edges.get(*way.last()?).into_iter().flatten() {
            if next == from {
                return Some(way);
            }
            if seen.insert(next) {
                ways.push([&way[..], &[next]].concat());
            }
        }
    }
    None
}

/// The circles of a crate, a line each.
fn circles(imports: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let rooms: BTreeSet<&[String]> =
        imports.keys().flat_map(|module| (0..module.len()).map(|depth| &module[..depth])).collect();
    let mut found = Vec::new();
    for room in rooms {
        let depth = room.len();
        let within = |module: &Module| module.len() > depth && module.starts_with(room);
        let mut edges: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (module, targets) in imports.iter().filter(|(module, _)| within(module)) {
            let from = module[..=depth].to_vec();
            for target in targets.iter().filter(|target| within(target)) {
                let to = target[..=depth].to_vec();
                if to != from {
                    edges.entry(from.clone()).or_default().insert(to);
                }
            }
        }
        let mut told = BTreeSet::new();
        for from in edges.keys() {
            if let Some(way) = circle(&edges, from).filter(|way| !way.iter().any(|module| told.contains(*module))) {
                told.extend(way.iter().map(|module| (*module).clone()));
                found.push(way.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(" → "));
            }
        }
    }
    found
}

#[test]
fn no_import_goes_round() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    let crates = ["ambient", "wire", "crypto", "client-core", "relay", "pty"].map(|name| format!("crates/{name}/src"));
    for source in crates.into_iter().chain(["tui/src", "cli/src", "harness/src"].map(ToOwned::to_owned)) {
        let imports = imports(&root.join(&source));
        assert!(!imports.is_empty(), "{source} has no modules");
        let circles = circles(&imports);
        assert!(circles.is_empty(), "{source}:\n{}", circles.join("\n"));
    }
}

#[test]
fn a_circle_is_found() {
    let place = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| fs::write(place.path().join(name), text).unwrap();
    write("lib.rs", "mod a;\nmod b;\nmod c;\n#[cfg(test)]\nmod fixture;");
    write("a.rs", "use crate::{b::{B, other::C}, c};\n// use crate::nothing;\nconst S: &str = \"use crate::c;\";");
    write("b.rs", "fn f<'a>(x: &'a str) { super::c::g(x, '\\'') }\n#[cfg(test)]\nmod tests { use crate::a; }");
    write("c.rs", "pub fn g() {}");
    write("fixture.rs", "use crate::a;");
    assert_eq!(circles(&imports(place.path())), Vec::<String>::new());
    write("c.rs", "use crate::{fixture, a};");
    let found = circles(&imports(place.path()));
    assert_eq!(found.len(), 1, "{found:?}");
    assert!(found[0].contains("a → ") && found[0].contains('c'), "{found:?}");
}
