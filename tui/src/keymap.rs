//! Which key does what: a profile of the command table, changed by the person's configuration.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use crate::{
    commands::{Command, Scope, Spec, TABLE},
    key::Key,
};

/// Whose habits the keys follow.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Profile {
    /// Letters act while messages are selected; writing is a mode of its own.
    #[default]
    Vim,
    /// Always writing; control and alt as in Emacs.
    Emacs,
    /// Always writing; arrows and function keys.
    Plain,
}

/// Keys by scope.
#[derive(Debug, Clone)]
pub(crate) struct KeyMap {
    pub(crate) profile: Profile,
    bound: HashMap<(Scope, Key), Command>,
    keys: HashMap<Command, Vec<Key>>,
}

impl KeyMap {
    /// The profile's keys, with those that the configuration changes.
    ///
    /// # Errors
    /// The first entry of the configuration that is no command or no key.
    pub(crate) fn new(profile: Profile, changes: &BTreeMap<String, Vec<String>>) -> Result<Self, String> {
        let mut map = Self { profile, bound: HashMap::new(), keys: HashMap::new() };
        for spec in TABLE {
            let names = match profile {
                Profile::Vim => spec.keys.vim,
                Profile::Emacs => spec.keys.emacs,
                Profile::Plain => spec.keys.plain,
            };
            for name in names {
                map.bind(spec, name.parse().map_err(|error| format!("{}: {error}", spec.name))?);
            }
        }
        // What the person gave to one command is not given to another.
        let mut given: Vec<(Key, Scope, &str)> = Vec::new();
        for (name, keys) in changes {
            let spec = TABLE.iter().find(|spec| spec.name == name).ok_or_else(|| {
                format!("[tui.keys] there is no command named {name:?}{}; docs/keys.md lists all", similar(name))
            })?;
            map.free(spec.command);
            for text in keys {
                let key = text.parse().map_err(|error| format!("[tui.keys] {name}: {text:?} is no key: {error}"))?;
                let scopes = spec.scopes();
                let meets = |scope: &Scope| {
                    scopes.iter().any(|own| own == scope || *own == Scope::Anywhere) || *scope == Scope::Anywhere
                };
                if let Some((_, _, other)) =
                    given.iter().find(|(at, scope, other)| *at == key && meets(scope) && other != name)
                {
                    return Err(format!(
                        "[tui.keys] {text:?} is given to {other} and to {name}, which both work in the same place: take it \
                         from one of them"
                    ));
                }
                given.extend(scopes.iter().map(|scope| (key, *scope, name.as_str())));
                if scopes.contains(&Scope::Anywhere) {
                    map.free_key(key);
                }
                map.bind(spec, key);
            }
        }
        Ok(map)
    }

    fn bind(&mut self, spec: &Spec, key: Key) {
        for scope in spec.scopes() {
            // A key has one meaning in a scope: the newer one.
            if let Some(before) = self.bound.insert((*scope, key), spec.command)
                && before != spec.command
                && !self.bound.iter().any(|((_, other), command)| *other == key && *command == before)
                && let Some(keys) = self.keys.get_mut(&before)
            {
                keys.retain(|other| *other != key);
            }
        }
        self.keys.entry(spec.command).or_default().push(key);
    }

    fn free(&mut self, command: Command) {
        self.bound.retain(|_, bound| *bound != command);
        self.keys.remove(&command);
    }

    /// A key that somebody wants to do the same everywhere does nothing else anywhere.
    fn free_key(&mut self, key: Key) {
        self.bound.retain(|(_, bound), _| *bound != key);
        for keys in self.keys.values_mut() {
            keys.retain(|bound| *bound != key);
        }
    }

    /// What a key does in a scope.
    pub(crate) fn command(&self, scope: Scope, key: Key) -> Option<Command> {
        let here = self.bound.get(&(scope, key));
        // What types a character is text where text is written, whatever it means elsewhere.
        let anywhere =
            || self.bound.get(&(Scope::Anywhere, key)).filter(|_| !(scope.takes_text() && key.typed().is_some()));
        here.or_else(anywhere).copied()
    }

    /// A command's keys, the usual one first.
    pub(crate) fn keys(&self, command: Command) -> &[Key] {
        self.keys.get(&command).map_or(&[], Vec::as_slice)
    }

    /// The key to name in a hint.
    pub(crate) fn hint(&self, command: Command) -> Option<String> {
        self.keys(command).first().map(ToString::to_string)
    }
}

/// A command whose name has a part of a wrong one, or a part of whose name it has, for the error.
fn similar(name: &str) -> String {
    let parts: Vec<&str> = name.split(['-', '_', ' ']).filter(|part| part.len() > 2).collect();
    let like = |spec: &&Spec| parts.iter().any(|part| spec.name.contains(part)) || name.contains(spec.name);
    TABLE.iter().find(like).map(|spec| format!("; is it {:?}", spec.name)).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(profile: Profile) -> KeyMap {
        KeyMap::new(profile, &BTreeMap::new()).unwrap()
    }

    fn key(text: &str) -> Key {
        text.parse().unwrap()
    }

    #[test]
    fn no_profile_binds_a_key_twice_in_a_place() {
        for profile in [Profile::Vim, Profile::Emacs, Profile::Plain] {
            let map = map(profile);
            for spec in TABLE {
                let names = match profile {
                    Profile::Vim => spec.keys.vim,
                    Profile::Emacs => spec.keys.emacs,
                    Profile::Plain => spec.keys.plain,
                };
                for (name, scope) in names.iter().flat_map(|name| spec.scopes.iter().map(move |scope| (name, scope))) {
                    assert_eq!(map.command(*scope, key(name)), Some(spec.command), "{profile:?} {scope:?} {name}");
                }
            }
        }
    }

    #[test]
    fn in_every_profile_one_can_leave_write_and_find_help() {
        for profile in [Profile::Vim, Profile::Emacs, Profile::Plain] {
            let map = map(profile);
            for scope in Scope::ALL {
                assert_eq!(map.command(scope, key("ctrl+c")), Some(Command::QuitTwice));
                assert_eq!(map.command(scope, key("f1")), Some(Command::Help));
            }
            assert_eq!(map.command(Scope::Write, key("enter")), Some(Command::Send));
            assert_eq!(map.command(Scope::Write, key("?")), None, "a question mark is text");
        }
    }

    #[test]
    fn the_configuration_moves_keys_and_its_mistakes_are_named() {
        let changes = BTreeMap::from([("help".to_owned(), vec!["ctrl+k".to_owned(), "f2".to_owned()])]);
        let changed = KeyMap::new(Profile::Vim, &changes).unwrap();
        assert_eq!(changed.command(Scope::List, key("f2")), Some(Command::Help));
        assert_eq!(changed.command(Scope::List, key("ctrl+k")), Some(Command::Help));
        assert_eq!(changed.command(Scope::List, key("f1")), None);
        assert_eq!(changed.hint(Command::Palette).as_deref(), Some("^P"));
        let given = |entries: &[(&str, &str)]| {
            let changes = entries.iter().map(|(name, key)| ((*name).to_owned(), vec![(*key).to_owned()]));
            KeyMap::new(Profile::Vim, &changes.collect())
        };
        let muting = given(&[("mute-always", "alt+m")]).unwrap();
        assert_eq!(
            muting.command(Scope::Messages, key("alt+m")),
            Some(Command::MuteAlways),
            "it has no key of its own"
        );
        for (entries, said) in [
            (&[("fly", "f2")][..], "no command named \"fly\"; docs/keys.md lists all"),
            (&[("next-message", "f2")], "no command named \"next-message\"; is it \"next-unread\"; docs/keys.md"),
            (&[("help", "hyper+x")], "help: \"hyper+x\" is no key: keys are written like ctrl+k"),
            (
                &[("reply", "x"), ("info", "x")],
                "\"x\" is given to info and to reply, which both work in the same place",
            ),
        ] {
            let error = given(entries).unwrap_err();
            assert!(error.starts_with("[tui.keys] ") && error.contains(said), "{error}");
        }
        assert!(given(&[("reply", "x"), ("invite", "x")]).is_ok(), "in other scopes it is another key");
    }
}
