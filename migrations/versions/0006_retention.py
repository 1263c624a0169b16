"""Retention: conversations under a legal hold, and the order in which they fall due"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("conversations", sa.Column("held_since", sa.DateTime(timezone=True), nullable=True))
    op.create_index("conversations_by_last_change", "conversations", ["site_id", "updated_at"])
    op.create_index("ix_escalations_conversation_id", "escalations", ["conversation_id"])


def downgrade() -> None:
    op.drop_index("ix_escalations_conversation_id", table_name="escalations")
    op.drop_index("conversations_by_last_change", table_name="conversations")
    op.drop_column("conversations", "held_since")
