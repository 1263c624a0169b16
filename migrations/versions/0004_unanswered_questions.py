"""Questions that no article answered: their vectors, and what content owners decided about them"""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op
from pgvector.sqlalchemy import VECTOR as Vector

revision = "0004"
down_revision = "0003"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "unanswered_questions",
        sa.Column("message_id", sa.String(length=32), nullable=False),
        sa.Column("kind", sa.String(length=64), nullable=False),
        sa.Column("embedding", Vector(384), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=True),
        sa.Column("marked_by", sa.Text(), nullable=True),
        sa.Column("marked_at", sa.DateTime(timezone=True), nullable=True),
        sa.CheckConstraint("status in ('open','planned','out_of_scope')", name="unanswered_status_known"),
        sa.ForeignKeyConstraint(["message_id"], ["messages.id"], ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("message_id"),
    )
    op.create_index(
        "marked_questions", "unanswered_questions", ["message_id"], postgresql_where=sa.text("status IS NOT NULL")
    )
    op.create_index(
        "messages_without_answer", "messages", ["created_at"], postgresql_where=sa.text("kind = 'no_answer'")
    )


def downgrade() -> None:
    op.drop_index("messages_without_answer", table_name="messages")
    op.drop_table("unanswered_questions")
