"""The file of each article version, so that it can be exported as it was imported"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None


def upgrade() -> None:
    # Versions from before have none: their files were not kept. Indexing an unchanged article anew fills it in.
    op.add_column("article_versions", sa.Column("source", sa.LargeBinary(), nullable=True))


def downgrade() -> None:
    op.drop_column("article_versions", "source")
