"""Token vectors of passages: what the search compares word by word."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    """Articles without them are indexed anew at the next import, because their encoder is another one."""
    op.add_column("search_entries", sa.Column("tokens", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    """The search goes by whole passages again."""
    op.drop_column("search_entries", "tokens")
