//! What is kept of campaigns: versions that are added and never changed.

use async_trait::async_trait;
use engine_core::time::WallTime;
use jiff::civil::Date;

use super::{Page, StoreError};
use crate::audit::Change;
use crate::campaign::{Campaign, CampaignTerms};

/// A version of the campaign as it is kept.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptCampaign {
    /// The version.
    pub campaign: Campaign,
    /// When it was made.
    pub created_at: WallTime,
}

/// Keeps campaigns.
#[async_trait]
pub trait CampaignStore: Send + Sync {
    /// Keeps terms as the next version. They are checked before.
    async fn create_campaign(
        &self,
        terms: &CampaignTerms,
        change: Change,
    ) -> Result<KeptCampaign, StoreError>;
    /// The version with this number.
    async fn campaign(&self, version: i64) -> Result<Option<KeptCampaign>, StoreError>;
    /// Versions, oldest first; a page's cursor holds the number in its id.
    async fn campaigns(&self, page: Page) -> Result<Vec<KeptCampaign>, StoreError>;
    /// The version in force on a date in Japan.
    async fn campaign_on(&self, on: Date) -> Result<Option<Campaign>, StoreError>;
}
