//! The messages of the dashboard. Intents are imperative, all other messages are in the past tense.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};
use tui_input::InputRequest;

use super::Background;
use super::account::AccountReport;
use super::form::FormChoices;
use super::management_screen::StoredManagementKey;
use super::plan_screen::PlanComparison;
use super::sort_filter::SortOrder;
use super::ticket::Ticket;
use crate::domain::{
    AccountKey, AccountKeys, AccountNames, ApiKey, AuthCode, CheckResult, FinishedStep,
    KeySpending, KeyUpdate, KeyUpdateOutcome, Label, LeakResponse, NotCarried, ProfileCopies,
    ProvisioningEvent, ProvisioningOutcome, Rotated, RotationOutcome, StoredKey, TrashedKey,
    UnresolvedAttempt, UsageSample, UserError,
};

/// What the user requests. The effect depends on the screen; an intent that does not apply is
/// ignored.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Intent {
    /// Quit (`q`).
    Quit,
    /// Quit from any screen (`ctrl-c`).
    Interrupt,
    /// Suspend the program (`ctrl-z`).
    Suspend,
    /// Go one step back (`esc`).
    Back,
    /// A character that does nothing on this screen.
    Unbound(char),
    /// Show or hide the help.
    ToggleHelp,
    /// Open the palette.
    OpenPalette,
    /// Close the palette and do this.
    RunFromPalette(Box<Intent>),
    /// Show or hide the message log.
    ToggleMessages,
    /// Show or hide the figures of the account.
    ToggleAccount,
    /// Select the next key that needs attention.
    NextAttention,
    /// Filter the keys by this text.
    SetFilter(String),
    /// Open the form of a new key.
    NewKey,
    /// Move the selection by rows.
    Move(isize),
    /// Move the selection by pages.
    MovePage(isize),
    /// Select the first row.
    MoveToTop,
    /// Select the last row.
    MoveToBottom,
    /// Show or hide the details of the selected key.
    ToggleDetails,
    /// Open or close the pane with the selected key.
    TogglePane,
    /// Use the next theme.
    NextTheme,
    /// Copy the key, or the sign-in URL while waiting for consent.
    Copy,
    /// Store the key in the alternate store.
    StoreInAlternate,
    /// Reveal or hide the key.
    ToggleReveal,
    /// Open the key's page at OpenRouter.
    OpenKeyPage,
    /// Ask whether to remove the target keys.
    Remove,
    /// Revoke the keys instead of only removing them.
    Revoke,
    /// Ask whether to rotate the selected key.
    Rotate,
    /// Ask whether to respond to a leak of the target keys.
    RespondToLeak,
    /// Edit the selected key: its label, and with a management key its limit and reset.
    EditKey,
    /// Disable or enable the target keys.
    ToggleDisabled,
    /// Import an existing key.
    ImportKey,
    /// Switch to the next scope: stored keys, all keys, keys not stored, revoked keys.
    NextScope,
    /// Load the inventory again and refresh all keys.
    Reload,
    /// Sort by the next column.
    NextSortOrder,
    /// Sort by this column, or reverse the order if it is the current one.
    SortBy(SortOrder),
    /// Reverse the sort order.
    ReverseSort,
    /// Edit the filter.
    EditFilter,
    /// Mark or unmark the selected key for the next action; in the rotation dialog, switch
    /// automatic revocation on or off.
    ToggleMark,
    /// Select the key at a row of the screen.
    ClickRow(u16),
    /// Select the key with this hash.
    SelectKey(String),
    /// Select the key with this hash and do this with it alone.
    ActOnKey(String, Box<Intent>),
    /// Ask whether to dismiss the first unresolved attempt.
    DismissAttempt,
    /// Answer the question with yes.
    Yes,
    /// Answer the question with no.
    No,
    /// Focus the next field.
    NextField,
    /// Focus the previous field.
    PreviousField,
    /// Select the next choice of the field.
    NextChoice,
    /// Select the previous choice of the field.
    PreviousChoice,
    /// Confirm (`enter`); in a form, focus the next field or submit on the last one.
    Enter,
    /// Submit the form.
    Submit,
    /// Select the next method of authorising the new key.
    NextAuthChoice,
    /// Insert a typed character.
    TypeChar(char),
    /// Edit the focused field.
    EditText(InputRequest),
    /// Insert pasted text.
    Paste(String),
    /// Open the browser again.
    OpenBrowser,
    /// Show or hide the field for a pasted code.
    ToggleCodeField,
    /// Show or hide the sign-in URL as a QR code.
    ToggleQrCode,
    /// Approve on the sandbox's consent page.
    Approve,
    /// Deny on the sandbox's consent page.
    Deny,
    /// Retry what failed; in a plan, the current key.
    Retry,
    /// Skip the current key of a plan.
    SkipItem,
    /// Revert the last change.
    Undo,
    /// List the removed keys.
    OpenTrash,
    /// Open the field for a management key.
    OpenManagement,
    /// Open the list of profiles.
    OpenProfiles,
    /// Switch to the profile in this row of the list.
    SwitchProfile(usize),
    /// Open the plan screen.
    OpenPlan,
    /// Spend on the selected key in the sandbox.
    SpendOnKey,
    /// Advance the clock of the sandbox by one day.
    SkipDay,
}

impl Intent {
    /// Returns whether it needs a key in the list.
    pub const fn needs_selection(&self) -> bool {
        matches!(
            self,
            Self::Copy
                | Self::ToggleReveal
                | Self::ToggleDetails
                | Self::ToggleMark
                | Self::OpenKeyPage
                | Self::EditKey
                | Self::ToggleDisabled
                | Self::Rotate
                | Self::RespondToLeak
                | Self::Remove
                | Self::SpendOnKey
        )
    }

    /// Returns whether it begins an action on keys, before which their present state matters.
    pub const fn acts_on_keys(&self) -> bool {
        matches!(
            self,
            Self::Remove
                | Self::Rotate
                | Self::RespondToLeak
                | Self::EditKey
                | Self::ToggleDisabled
                | Self::Undo
                | Self::ActOnKey(..)
        )
    }
}

/// Something that happened.
#[derive(Clone, Debug)]
pub enum Msg {
    /// The user requested something.
    Intent(Intent),
    /// The time of [`Model::next_tick_at`](super::Model::next_tick_at) was reached.
    Tick,
    /// The terminal was resized to these columns and rows.
    Resized(u16, u16),
    /// A result of the request with this ticket.
    Response(Ticket, Response),
    /// The terminal is gone, or a signal requested the end of the program.
    Disconnected,
    /// The terminal got the focus.
    FocusGained,
    /// The terminal reported its background.
    BackgroundReported(Background),
    /// Another program has changed the inventory: the stored keys by creation time.
    InventoryChanged(Vec<StoredKey>),
    /// The recovery of interrupted runs finished.
    RecoveryFinished {
        /// The recovered keys that are stored now.
        stored_keys: Vec<StoredKey>,
        /// The recovered keys that could not be stored.
        unstored_keys: Vec<ProvisioningOutcome>,
        /// The resumed rotations and their results.
        rotations: Vec<(Label, Result<Rotated, UserError>)>,
        /// The labels of attempts whose key was not received, and was deleted.
        deleted_labels: Vec<Label>,
        /// Keys with the labels of such attempts that someone else created.
        foreign_keys: Vec<AccountKey>,
        /// Attempts that may have created a key that was not received.
        unresolved_attempts: Vec<UnresolvedAttempt>,
        /// What was left to do at the server for stored keys, and is done now.
        finished: Vec<FinishedStep>,
        /// What failed.
        errors: Vec<UserError>,
    },
    /// A key was disabled or enabled, or that failed.
    KeyDisabledSet {
        /// The label of the key.
        label: Label,
        /// The key as the account has it now.
        result: Result<AccountKey, UserError>,
        /// Set if the server did it and the inventory could not be written.
        warning: Option<UserError>,
    },
    /// The limit of a key was edited, or that failed.
    LimitEdited {
        /// The change.
        update: Box<KeyUpdate>,
        /// Its outcome.
        outcome: KeyUpdateOutcome,
    },
    /// A key was revoked, or that failed.
    KeyRevoked {
        /// The hash of the key.
        hash: String,
        /// The label of the key.
        label: Label,
        /// Whether it succeeded.
        result: Result<(), UserError>,
    },
    /// A replaced key was not revoked, because it is still used.
    RetiredKeyInUse {
        /// The label of the key.
        label: Label,
        /// The key as the account has it now.
        account_key: AccountKey,
        /// How it is used.
        reason: String,
    },
    /// The names of workspaces and guardrails were read from the disk.
    NamesRead(AccountNames),
    /// Rows of one of the account's lists could not be read.
    RowsSkipped(UserError),
    /// The copies of keys in other profiles were found.
    OtherProfilesRead(ProfileCopies),
    /// A key was removed from this machine, or that failed.
    KeyRemoved {
        /// The label of the key.
        label: Label,
        /// The key, if it can be restored.
        result: Result<Option<TrashedKey>, UserError>,
    },
    /// A removed key was restored, or that failed.
    KeyRestored {
        /// The removed key.
        trashed: TrashedKey,
        /// The key as it is stored.
        result: Result<StoredKey, UserError>,
    },
    /// The account of a key was confirmed and the key got its label, or that failed.
    AccountConfirmed {
        /// The label before.
        label: Label,
        /// The key, and the one that it replaced.
        result: Result<Rotated, UserError>,
    },
    /// A sandbox action finished.
    SandboxActionFinished(Result<String, UserError>),
    /// A notice to show.
    Notice(Result<String, UserError>),
}

/// A result of a [`Request`](super::Request).
#[derive(Clone, Debug)]
pub enum Response {
    /// The inventory was loaded: the stored keys by creation time.
    KeysLoaded(Result<Vec<StoredKey>, UserError>),
    /// The shared store was read.
    SharedKeysRead {
        /// The stored keys, as they are now.
        keys: Result<Vec<StoredKey>, UserError>,
        /// Why the shared store could not be read, or a key of it is not shown.
        error: Option<UserError>,
        /// Whether the token may read keys and not change them.
        is_read_only: bool,
    },
    /// A key was checked.
    KeyChecked {
        /// The hash of the key.
        hash: String,
        /// The result of the check.
        result: CheckResult,
        /// The time of the check.
        checked_at: Timestamp,
    },
    /// A refresh round finished or was stopped.
    RefreshFinished {
        /// Why the round ended early.
        error: Option<UserError>,
        /// The pause that the server requested.
        retry_after: Option<SignedDuration>,
        /// The rejected keys as the account has them.
        rejected_keys: Vec<AccountKey>,
    },
    /// The columns and rows that the QR code of the sign-in address needs.
    QrCodeMeasured((u16, u16)),
    /// A provisioning run reported an event.
    ProvisioningEvent(ProvisioningEvent),
    /// A provisioning run finished.
    ProvisioningFinished(ProvisioningOutcome),
    /// Each key with what cannot be carried over to its replacement.
    LossesExpected(Vec<(Label, Vec<NotCarried>)>),
    /// A rotation finished.
    RotationFinished(RotationOutcome),
    /// The rotations of several keys finished, or were cancelled: each label with its outcome.
    RotationsFinished(Vec<(Label, RotationOutcome)>),
    /// A leak response finished for each of these keys.
    LeakResponseFinished(Vec<LeakResponse>),
    /// A plan was loaded and compared with the stored keys, or has these problems, one per line.
    PlanLoaded(Result<PlanComparison, Vec<String>>),
    /// The creation of the key of a plan, or the rotation of one of several keys, started.
    ItemStarted(Label),
    /// A key of a plan was created, skipped or failed.
    ItemFinished {
        /// The label of the key.
        label: Label,
        /// The stored key, or why there is none.
        result: Result<StoredKey, UserError>,
        /// A problem that did not prevent the storing.
        warning: Option<UserError>,
    },
    /// Applying a plan finished, completely or not, or could not start.
    PlanApplied(Option<UserError>),
    /// A key of the account was fetched; `None` without a management key.
    AccountKeyFetched(Result<Option<AccountKey>, UserError>),
    /// The choices of the form were read; `None` without a management key.
    FormChoicesLoaded(Option<FormChoices>),
    /// Several keys of the account were fetched, in the order of the request.
    AccountKeysFetched(Vec<Result<AccountKey, UserError>>),
    /// A key update finished.
    KeyUpdated(KeyUpdateOutcome),
    /// A management key was checked and stored, or that failed.
    ManagementKeyStored(Result<StoredManagementKey, UserError>),
    /// A key was imported, or that failed.
    KeyImported(Result<StoredKey, UserError>),
    /// The keys of the account were loaded.
    AccountKeysLoaded(Result<AccountKeys, UserError>),
    /// The usage samples were loaded, by hash.
    UsageHistoryLoaded(Vec<(String, Vec<UsageSample>)>),
    /// What the stored keys spent was loaded, by hash.
    SpendingLoaded(HashMap<String, KeySpending>),
    /// The credits and the activity of the account were loaded; `None` without a management key.
    AccountLoaded(Option<AccountReport>),
    /// The removed keys were loaded, the last removed first.
    TrashLoaded(Result<Vec<TrashedKey>, UserError>),
    /// A secret was read in order to reveal it.
    SecretRead {
        /// The label of the key.
        label: Label,
        /// The key.
        result: Result<ApiKey, UserError>,
    },
    /// The sandbox's consent page answered the decision, with the code if it shows one.
    ConsentDecided(Result<Option<AuthCode>, String>),
}
