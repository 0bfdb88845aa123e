from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("batches", "0003_target_counts")]

    operations = [
        migrations.AddIndex(
            model_name="batchtarget",
            index=models.Index(fields=["batch", "place"], name="batch_target_by_place"),
        ),
    ]
