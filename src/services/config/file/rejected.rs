//! Which fields of a file have a value that cannot be used.

use toml::de::DeTable;

use super::{Field, Parser};

impl Parser<'_> {
    /// Records the known fields and actions of a section whose value is not used.
    pub(super) fn record_rejected(&mut self, section: &str, table: &DeTable<'_>) {
        for (name, value) in table {
            let name = name.get_ref().as_ref();
            let (is_known, is_used) = if section == "keys" {
                let is_known = (self.names.actions)().iter().any(|(action, _)| *action == name);
                (is_known, self.file.bindings.contains_key(name))
            } else {
                let is_this = |field: &Field| field.path() == (section, name);
                (Field::OF_SECTIONS.iter().any(is_this), self.file.settings.keys().any(is_this))
            };
            if is_known && !is_used {
                let line = self.lines.position(value.span().start).line;
                self.file.rejected.insert(format!("{section}.{name}"), line);
            }
        }
    }
}
