from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('batches', '0002_is_past'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='batchtarget',
            index=models.Index(fields=['batch', 'klass', 'outcome', 'customer_id', 'finished_at'], name='batch_target_counts'),
        ),
    ]
