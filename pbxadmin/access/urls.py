from django.urls import path

from .views import customers, rules

app_name = "access"
urlpatterns = [
    path("customers/add/", customers.customer_add, name="customer-add"),
    path("customers/<int:pk>/", customers.customer_page, name="customer-page"),
    path("customers/<int:pk>/rename/", customers.customer_rename_view, name="customer-rename"),
    path("customers/<int:pk>/rules/", rules.customer_rules, name="customer-rules"),
    path("customers/<int:pk>/archive/", customers.customer_archive_view, name="customer-archive"),
    path("customers/<int:pk>/unarchive/", customers.customer_unarchive_view, name="customer-unarchive"),
]
