//! `passbook man`: a manual page for every command, from the same words as `--help`.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Command, CommandFactory as _};
use clap_mangen::Man;

use super::{Arguments as Cli, Exit, output};

/// What the page of the whole program says beyond `--help`.
const MORE: &str = r#".SH "EXIT STATUS"
.TP
0
Done.
.TP
1
Failed; for \fBverify\fR: something is wrong, for \fBrun \-\-once\fR and \fBsync\fR: a sync failed, or a link could not be synced.
.TP
2
Wrong arguments, or the configuration file is refused; nothing was done.
.TP
3
The store was refused: missing, damaged, newer, of another key, or another passbook works on it. It is left untouched.
.TP
4
Done, and a link needs a person (\fBstatus\fR, \fBsync\fR, \fBrun \-\-once\fR), or the daemon cannot work with the store (\fBstatus\fR).
.SH FILES
.TP
\fI/etc/passbook/passbook.toml\fR
The configuration.
.TP
\fI/etc/passbook/credentials/\fR
The secrets it refers to, one file each, handed to the daemon by systemd.
.TP
\fI/var/lib/passbook/passbook.db\fR
The store, and beside it what SQLite and the daemon need.
.TP
\fI/usr/share/doc/passbook/\fR
What every option, table and column means, and questions to the store.
.SH "SEE ALSO"
\fBsystemctl\fR(1), \fBjournalctl\fR(1), \fBsqlite3\fR(1)
"#;

#[derive(Debug, clap::Args)]
pub(super) struct Arguments {
    /// Where the pages of all commands are written; without it, that of passbook itself goes to standard output.
    #[arg(value_name = "DIR")]
    directory: Option<PathBuf>,
}

pub(super) fn man(arguments: &Arguments) -> anyhow::Result<Exit> {
    let mut program = Cli::command().disable_help_subcommand(true);
    program.build();
    match &arguments.directory {
        None => output::print(&page(&program, true)?)?,
        Some(directory) => {
            fs::create_dir_all(directory).with_context(|| format!("{} cannot be made", directory.display()))?;
            write_pages(&program, directory, true)?;
        }
    }
    Ok(Exit::Done)
}

/// Writes the page of a command and of those below it.
fn write_pages(command: &Command, directory: &Path, is_program: bool) -> anyhow::Result<()> {
    let path = directory.join(format!("{}.1", name(command)));
    fs::write(&path, page(command, is_program)?).with_context(|| format!("{} cannot be written", path.display()))?;
    for below in command.get_subcommands().filter(|below| !below.is_hide_set()) {
        write_pages(below, directory, false)?;
    }
    Ok(())
}

/// `passbook-links-show` for `passbook links show`.
fn name(command: &Command) -> &str {
    command.get_display_name().unwrap_or_else(|| command.get_name())
}

fn page(command: &Command, is_program: bool) -> anyhow::Result<String> {
    let man = Man::new(command.clone())
        .title(name(command).to_uppercase())
        .source(concat!("passbook ", env!("CARGO_PKG_VERSION")))
        .manual("Passbook");
    let mut roff = Vec::new();
    man.render(&mut roff)?;
    let mut text = String::from_utf8(roff)?;
    text.push_str(if is_program { MORE } else { ".SH \"SEE ALSO\"\n\\fBpassbook\\fR(1)\n" });
    Ok(text)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_command_has_a_page_with_its_options() {
        let directory = tempfile::tempdir().expect("a directory");
        man(&Arguments { directory: Some(directory.path().to_owned()) }).expect("written");
        let page = |name: &str| fs::read_to_string(directory.path().join(name)).expect(name);
        assert!(page("passbook-links-connect.1").contains("\\-\\-email"));
        assert!(page("passbook.1").contains("EXIT STATUS"));
        let mut program = Cli::command();
        program.build();
        for command in program.get_subcommands().filter(|command| command.get_name() != "help") {
            let text = page(&format!("passbook-{}.1", command.get_name()));
            assert!(text.contains(".SH SYNOPSIS") && text.contains("passbook"), "{}", command.get_name());
        }
        let pages = fs::read_dir(directory.path()).expect("a directory").count();
        assert!(pages > 20, "{pages} pages");
    }
}
