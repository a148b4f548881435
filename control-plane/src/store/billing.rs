//! What is kept of monthly billing: closed months with their exact bytes, and corrections. What an
//! open month's bill would be is worked out from the contracts.

use async_trait::async_trait;
use engine_core::time::WallTime;

use super::{Page, Repeat, StoreError};
use crate::audit::Change;
use crate::billing::{Adjustment, Correction, Totals};
use crate::billing_export::Format;
use crate::contract::ContractId;
use crate::japan::Month;
use crate::usage::ForwardedCalls;

/// An export that is kept, or the same of a month that is open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExportFacts {
    /// Its length.
    pub bytes: u64,
    /// SHA-256 over its bytes, in hex.
    pub sha256: String,
}

/// A closed month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClosedMonth {
    /// Which.
    pub month: Month,
    /// When it was closed.
    pub closed_at: WallTime,
    /// Sums over its lines.
    pub totals: Totals,
    /// The CSV.
    pub csv: ExportFacts,
    /// The JSON.
    pub json: ExportFacts,
}

impl ClosedMonth {
    /// What is kept in this format.
    pub const fn export(&self, format: Format) -> &ExportFacts {
        match format {
            Format::Csv => &self.csv,
            Format::Json => &self.json,
        }
    }
}

/// What an open month's bill is as things stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// Length and hash.
    pub facts: ExportFacts,
    /// All of it.
    pub bytes: Vec<u8>,
}

/// A correction to be kept.
#[derive(Debug, Clone)]
pub struct NewAdjustment {
    /// Its id.
    pub id: uuid::Uuid,
    /// What is to be corrected; checked before.
    pub correction: Correction,
    /// How to know the same request again.
    pub repeat: Option<Repeat>,
}

/// A contract's forwarded calls in a month.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ContractUsage {
    /// The contract.
    pub contract: ContractId,
    /// Its calls that were answered in the month.
    pub calls: ForwardedCalls,
}

/// Keeps bills.
#[async_trait]
pub trait BillingStore: Send + Sync {
    /// The closed month, if it is closed.
    async fn closed_month(&self, month: Month) -> Result<Option<ClosedMonth>, StoreError>;
    /// Closed months, oldest first, behind a month.
    async fn closed_months(
        &self,
        after: Option<Month>,
        limit: u32,
    ) -> Result<Vec<ClosedMonth>, StoreError>;
    /// A part of a closed month's export, from 0; `None` behind the last.
    async fn export_part(
        &self,
        month: Month,
        format: Format,
        part: u32,
    ) -> Result<Option<Vec<u8>>, StoreError>;
    /// What an open month's export would be if the month were closed now.
    async fn draft(&self, month: Month, format: Format) -> Result<Draft, StoreError>;
    /// Closes a month with the bytes of its exports. Closing again changes nothing.
    async fn close_month(&self, month: Month, change: Change) -> Result<ClosedMonth, StoreError>;
    /// Keeps a correction of a closed month; it lands in the next open one. A repeated request
    /// gives what the first one made.
    async fn adjust(&self, new: &NewAdjustment, change: Change) -> Result<Adjustment, StoreError>;
    /// Contracts that ran in a month, by id, each with its forwarded calls; a page's cursor holds
    /// the contract in its id.
    async fn usage(&self, month: Month, page: Page) -> Result<Vec<ContractUsage>, StoreError>;
}
